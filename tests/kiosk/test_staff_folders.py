"""Folders that staff change: a full disk, no list yet, captions written in line, the bundled photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tomlkit
from livetint.engine.errors import OutputError
from livetint.engine.files import read_toml
from livetint.kiosk.server.exhibition import load_gallery
from livetint.kiosk.server.staff.folder import Entry, ExhibitionFolder, Stale

from .running import until
from .test_staff import LIST, StaffKiosk, files_of, fill
from .test_uploads import picture


def test_a_full_disk_leaves_the_list_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    folder = ExhibitionFolder(tmp_path)
    edition = folder.edition()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        folder.save(Entry("coffee.jpg", {"title": "New"}), edition)
    with pytest.raises(OutputError):
        folder.add("new.jpg", picture())
    assert (tmp_path / "photographs.toml").read_text() == LIST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coffee.jpg", "photographs.toml", "second.jpg"]
    with pytest.raises(Stale):
        folder.save(Entry("coffee.jpg", {"title": "New"}), "0" * 16)


def test_a_folder_without_a_list_gets_one_with_the_first_change(tmp_path: Path) -> None:
    for name in ("b.png", "a_nice one.png"):
        (tmp_path / name).write_bytes(picture("PNG", (30 + len(name), 20)))
    folder = ExhibitionFolder(tmp_path)
    assert [entry.texts["title"] for entry in folder.entries()] == ["a nice one", "b"]
    folder.move("b.png", -1, folder.edition())
    assert [picture.record.file for picture in load_gallery(tmp_path).values()] == ["b.png", "a_nice one.png"]
    assert tomlkit.parse((tmp_path / "photographs.toml").read_text())["schema"] == 1


def test_captions_written_in_line_are_read_and_changed(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "captions.de.toml"
    path.write_text('"coffee.jpg" = { title = "Kaffee", caption = "Gut." }\n"second.jpg" = { title = "Zwei" }\n')
    folder = ExhibitionFolder(tmp_path)
    first = folder.entries()[0]
    assert (first.titles["de"], first.captions["de"]) == ("Kaffee", "Gut.")
    folder.save(replace(first, captions={"de": "Sehr gut."}), folder.edition())
    assert read_toml(path) == {
        "coffee.jpg": {"title": "Kaffee", "caption": "Sehr gut."},
        "second.jpg": {"title": "Zwei"},
    }


def test_the_bundled_photographs_are_copied_before_they_are_changed(stub: Path, tmp_path: Path) -> None:
    kiosk = StaffKiosk(tmp_path / "kiosk", stub)
    try:
        text = kiosk.ask("/photographs")[1]
        assert "/photographs/copy" in text
        assert "/photographs/move" not in text
        assert kiosk.ask("/photographs/save", {"file": "coffee.jpg", "edition": "x", "title": "T"})[0] == 422
        assert kiosk.ask("/photographs/add?name=a.jpg", body=picture())[0] == 409
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken/file").touch()
        taken = (str(tmp_path / "taken"), str(tmp_path / "taken/file"))
        for folder in ("", "relative", *taken, "~nobody-has-this-name/a", "/a\0b", "/" + "a" * 5000):
            assert kiosk.ask("/photographs/copy", {"folder": folder})[0] == 422, folder
        assert kiosk.ask("/photographs/copy", {"folder": "/proc/livetint/photographs"})[0] == 503
        own = tmp_path / "new/own"
        status, _, headers = kiosk.ask("/photographs/copy", {"folder": str(own)})
        assert (status, headers["location"]) == (303, "/photographs?copied=1")
        assert str(own) in kiosk.ask("/photographs?copied=1")[1]
        files = files_of(own)
        form = {"file": files[-1], "step": "-1", "edition": kiosk.edition()}
        assert kiosk.ask("/photographs/move", form)[0] == 303
        assert files_of(own)[-2] == files[-1]
        # The kiosk follows the new folder.
        text = (own / "photographs.toml").read_text()
        (own / "photographs.toml").write_text(text.replace('title = "', 'title = "New: ', 1))
        until(lambda: b"New: " in kiosk.get("/settings.json")[1], "the change by hand")
    finally:
        kiosk.close()
