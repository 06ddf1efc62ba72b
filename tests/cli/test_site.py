"""`livetint site` from the outside: what it writes, what it prints, and every refusal in one sentence."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from livetint.engine.files import sha256_of
from livetint.kiosk.site import pictures
from livetint.kiosk.site.folder import MARKER
from livetint.kiosk.site.licence import is_open

from ..kiosk.stub_bundle import write_stub_bundle
from .test_cli import COFFEE, livetint

ACCEPTED = "--accept-licence"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph, and one that cannot be opened."""
    folder = tmp_path_factory.mktemp("gallery")
    shutil.copy(COFFEE, folder / "coffee.jpg")
    (folder / "torn.jpg").write_bytes(COFFEE.read_bytes()[:2000])
    return folder


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder that looks as if `site` had written it."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_bytes(b"old")
    (folder / MARKER).write_text(json.dumps({"files": {"index.html": sha256_of(b"old")}}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Address → content of all files in a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_a_folder_for_any_web_server_and_says_what_it_weighs(capsys, gallery, tmp_path):
    out = tmp_path / "site"
    options = ("--language", "de", "--bits", "8", ACCEPTED)
    code, said, warned = livetint(capsys, "site", gallery, "-o", out, *options)
    assert code == 0
    assert re.match(r"left out: .*torn\.jpg.*\n$", warned)
    files = contents(out)
    total = sum(map(len, files.values())) / 1e6
    assert said.startswith(f"{out}: 1 photograph, {total:.1f} MB in {len(files)} files\na first visit loads ")
    assert "over plain HTTP" in said and "non-commercial" in said
    page = files["index.html"].decode()
    assert re.search(
        r"Content-Security-Policy\" content=\"default-src 'self'; script-src 'self' 'wasm-unsafe-eval'", page
    )
    assert not re.search(r"""(?:href|src)=["'](?:/|https?:)""", page), "all addresses are relative"
    assert [name.rsplit("/", 1)[1] for name in files if "/languages/" in name] == ["de.json"]
    assert not [name for name in files if "staff" in name or "wall." in name]
    marker = json.loads(files.pop(MARKER))["files"]
    assert marker == {name: sha256_of(content) for name, content in files.items()}

    code, _, _ = livetint(capsys, "site", gallery, "-o", out, *options)
    assert code == 0, "what it wrote it replaces"
    assert {**contents(out)} == {**files, MARKER: contents(out)[MARKER]}, "the same photographs give the same site"


def test_the_licence_of_the_weights_has_to_be_accepted(capsys, gallery, tmp_path):
    code, _, said = livetint(capsys, "site", gallery, "-o", tmp_path / "site")
    assert code == 2
    assert said.count("\n") == 1 and "non-commercial research and education" in said and ACCEPTED in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("licence", "is_"),
    [
        ("MIT", True), ("Apache-2.0", True), ("BSD-2-Clause (github.com/…)", True), ("CC BY 4.0", True), ("CC0", True),
        ("CC BY-NC 4.0", False), ("that of the checkpoint", False), ("", False), ("non-commercial research", False),
        ("MIT, for non-commercial use", False), ("mitigated", False),
    ],
)  # fmt: skip
def test_open_licences(licence, is_):
    assert is_open(licence) is is_


def test_a_model_of_another_form_is_refused(capsys, gallery, tmp_path):
    model = write_stub_bundle(tmp_path / "model")
    code, _, said = livetint(capsys, "site", gallery, "-o", tmp_path / "site", ACCEPTED, "--model", model)
    assert code == 2 and said.count("\n") == 1 and "hint-attention-3" in said
    assert not (tmp_path / "site").exists()


def _not_ours(folder: Path) -> str:
    (folder / MARKER).unlink()
    return "was not written by `livetint site`"


def _a_file_more(folder: Path) -> str:
    (folder / "CNAME").write_text("museum.example")
    return "CNAME"


def _a_changed_file(folder: Path) -> str:
    (folder / "index.html").write_text("by hand")
    return "index.html"


def _a_file_in_its_place(folder: Path) -> str:
    shutil.rmtree(folder)
    folder.write_text("a file")
    return "is not a folder"


@pytest.mark.parametrize("change", [_not_ours, _a_file_more, _a_changed_file, _a_file_in_its_place])
def test_what_it_did_not_write_it_does_not_replace(capsys, gallery, written, change: Callable[[Path], str]):
    named = change(written)
    before = contents(written.parent)
    code, _, said = livetint(capsys, "site", gallery, "-o", written, ACCEPTED)
    assert code == 2 and named in said and said.count("\n") == 1 + said.count("left out")
    assert contents(written.parent) == before


def test_the_photographs_themselves_are_not_replaced(capsys, gallery):
    before = contents(gallery)
    code, _, said = livetint(capsys, "site", gallery, "-o", gallery, ACCEPTED)
    assert code == 2 and "would be lost" in said
    assert contents(gallery) == before


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device; free some space and try again"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_full_disk_and_ctrl_c_leave_the_old_site(capsys, gallery, written, monkeypatch, fault, code, sentence):
    def fail(*_: object) -> bytes:
        raise fault

    monkeypatch.setattr(pictures, "pack_histogram", fail)
    before = contents(written.parent)
    found, _, said = livetint(capsys, "site", gallery, "-o", written, ACCEPTED)
    assert found == code and sentence in said
    assert contents(written.parent) == before
    assert [path.name for path in written.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("empty", [True, False])
def test_nothing_to_show_is_said(capsys, tmp_path, empty):
    photos = tmp_path / "photos"
    photos.mkdir()
    if not empty:
        (photos / "torn.jpg").write_bytes(COFFEE.read_bytes()[:2000])
    code, _, said = livetint(capsys, "site", photos, "-o", tmp_path / "site", ACCEPTED)
    assert code == 2 and "holds no photograph" in said
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
