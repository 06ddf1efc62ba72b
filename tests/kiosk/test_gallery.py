"""Exhibitions: a folder of pictures, a list of them, and captions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from livetint.engine.errors import ConfigError
from livetint.engine.image import formats
from livetint.kiosk.engine.link import EngineLink
from livetint.kiosk.server.app import Answers
from livetint.kiosk.server.exhibition import bundled_photos, check_gallery, load_gallery
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.settings import LANGUAGES, GalleryTable, Settings
from PIL import Image
from starlette.requests import Request

from ..needs import needs
from .running import complete

HEIC = Path(__file__).parents[1] / "engine" / "image" / "phone.heic"


def picture(folder: Path, name: str, grey: int = 90) -> None:
    Image.new("L", (64, 48), grey).save(folder / name)


def test_the_bundled_photographs_are_an_exhibition_in_order() -> None:
    gallery = load_gallery(bundled_photos())
    assert len(gallery) >= 5
    assert all(len(key) == 16 for key in gallery)
    assert check_gallery(bundled_photos(), 64) == []


def test_a_folder_without_a_list_shows_its_pictures_by_name(tmp_path: Path) -> None:
    picture(tmp_path, "b_second.png", 10)
    picture(tmp_path, "a-first.png", 20)
    assert [p.record.title for p in load_gallery(tmp_path).values()] == ["a first", "b second"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("schema = 1\n[[photograph]]\nfile = 'a.png'\ntitle = 'A'\nyaer = '1930'", "yaer"),
        ("schema = 1\n[[photograph]]\nfile = 'missing.png'\ntitle = 'A'", "missing.png"),
        ("schema = 1\n[[photograph]]\nfile = '../outside.png'\ntitle = 'A'", "out of the folder"),
        ("schema = 1\n[[photograph]]\nfile = 'a.png'\ntitle = 'A'\nhints = [[2.0, 0.5, 0.0, 0.0]]", "outside"),
        ("nonsense [", "not readable TOML"),
    ],
)
def test_an_invalid_list_is_refused_in_a_sentence(tmp_path: Path, text: str, expected: str) -> None:
    folder = tmp_path / "show"
    folder.mkdir()
    picture(folder, "a.png")
    picture(tmp_path, "outside.png")
    (folder / "photographs.toml").write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_gallery(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "show"
    folder.mkdir()
    picture(tmp_path, "secret.png")
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ConfigError, match="out of the folder"):
        load_gallery(folder)


def write(name: str, data: bytes) -> Callable[[Path], None]:
    def bad(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return bad


def not_utf8(folder: Path) -> None:
    picture(folder, "x.png")
    os.rename(bytes(folder / "x.png"), bytes(folder) + b"/M\xfcnchen.png")  # noqa: PTH104 - a name that is no text


# what staff put beside a.png → what is said of it
BAD_ENTRIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a name that is not UTF-8": (not_utf8, "M\\xfcnchen.png has a name that is not UTF-8; rename it"),
    "a link to nowhere": (
        lambda folder: (folder / "x.jpg").symlink_to("gone.jpg"),
        "x.jpg is a link that leads nowhere",
    ),
    "links in a circle": (lambda folder: (folder / "x.jpg").symlink_to("x.jpg"), "x.jpg cannot be read: "),
    "a link out of the folder": (
        lambda folder: (folder / "x.jpg").symlink_to(__file__),
        "x.jpg leads out of the folder",
    ),
    "a folder": (lambda folder: (folder / "x.jpg").mkdir(), "x.jpg is a folder; move its pictures up"),
    "a pipe": (lambda folder: os.mkfifo(folder / "x.jpg"), "x.jpg is no ordinary file"),
    "an empty file": (write("x.jpg", b""), "x.jpg is empty"),
    "a letter": (write("x.jpg", b"Dear museum"), "x.jpg is not a picture in a known format"),
    "a raw file": (write("x.tif", b"II*\0\x10\0\0\0CR\x02\0"), "x.tif is a camera raw file; develop it"),
    "a raw file by its name": (write("x.NEF", b"II*\0"), "x.NEF is no picture of a kind that is shown"),
    "a PDF": (write("x.pdf", b"%PDF"), "x.pdf is no picture of a kind that is shown; save it as JPEG"),
}


@pytest.mark.parametrize("kind", BAD_ENTRIES)
def test_one_bad_entry_is_left_out_and_named(tmp_path: Path, kind: str) -> None:
    make, said = BAD_ENTRIES[kind]
    folder = tmp_path / "show"
    folder.mkdir()
    make(folder)
    with pytest.raises(ConfigError) as refused:
        load_gallery(folder)  # nothing else is there
    assert said in str(refused.value) and "holds no photographs that can be shown" in str(refused.value)
    picture(folder, "a.png")
    left_out: list[str] = []
    assert [shown.record.file for shown in load_gallery(folder, (), left_out.append).values()] == ["a.png"]
    assert len(left_out) == 1 and left_out[0].startswith(said)
    assert check_gallery(folder, 64) == [f"{folder}: {left_out[0]}"]


def test_an_entry_of_the_list_that_is_missing_is_left_out_with_its_captions(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    entries = "".join(f"[[photograph]]\nfile = '{name}.png'\ntitle = 'A'\nrights = 'R'\n" for name in "ab")
    (tmp_path / "photographs.toml").write_text(entries)
    (tmp_path / "captions.de.toml").write_text('["a.png"]\ntitle = "A"\n["b.png"]\ntitle = "B"\n')
    left_out: list[str] = []
    assert len(load_gallery(tmp_path, (), left_out.append)) == 1
    assert left_out == ["b.png is missing; copy it into the folder"]


@pytest.mark.parametrize("name", ["a\0b.png", "n" * 300 + ".png"])
def test_an_impossible_name_in_the_list_is_left_out(tmp_path: Path, name: str) -> None:
    picture(tmp_path, "a.png")
    names = ("a.png", name.replace("\0", "\\u0000"))
    (tmp_path / "photographs.toml").write_text(
        "".join(f'[[photograph]]\nfile = "{one}"\ntitle = "A"\n' for one in names)
    )
    left_out: list[str] = []
    assert len(load_gallery(tmp_path, (), left_out.append)) == 1
    assert len(left_out) == 1 and "cannot be read" in left_out[0]


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied; check its rights"):
        load_gallery(tmp_path)


@pytest.mark.parametrize("fmt", ["AVIF", "JPEG2000", "GIF", "BMP", "PPM"])
def test_pictures_of_every_format_that_opens_are_shown(tmp_path: Path, fmt: str) -> None:
    Image.init()
    if fmt not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {fmt}")
    extension = {"AVIF": "avif", "JPEG2000": "jp2"}.get(fmt, fmt.lower())
    Image.new("L", (64, 48), 90).convert("RGB").save(tmp_path / f"x.{extension}", fmt)
    assert len(load_gallery(tmp_path)) == 1 and check_gallery(tmp_path, 64) == []


@needs("pi_heif")
def test_heic_is_shown_where_its_decoder_is_installed(tmp_path: Path) -> None:
    shutil.copy(HEIC, tmp_path / "x.HEIC")
    assert len(load_gallery(tmp_path)) == 1 and check_gallery(tmp_path, 64) == []


def test_heic_without_its_decoder_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(HEIC, tmp_path / "x.heic")
    monkeypatch.setattr(formats, "available_formats", lambda head=b"": ["JPEG", "PNG"])
    with pytest.raises(ConfigError, match=r"x\.heic is a HEIC picture.*pip install"):
        load_gallery(tmp_path)


def test_staff_are_told_of_every_picture_that_does_not_open(tmp_path: Path) -> None:
    picture(tmp_path, "fine.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    problems = check_gallery(tmp_path, 64)
    assert len(problems) == 1
    assert "broken.jpg" in problems[0]
    assert check_gallery(tmp_path / "nowhere", 64)


def test_the_bundled_photographs_have_captions_in_every_language_and_suggested_points() -> None:
    for shown in load_gallery(bundled_photos()).values():
        assert shown.record.titles.keys() == set(LANGUAGES) == shown.record.captions.keys(), shown.record.file
        assert len(shown.record.hints) >= 4


def test_captions_are_read_from_a_file_for_each_language(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    picture(tmp_path, "b.png", 20)
    (tmp_path / "captions.de.toml").write_text('["a.png"]\ntitle = "Der Hafen"\ncaption = "Am Morgen."\n')
    first, second = load_gallery(tmp_path).values()
    told = first.for_visitors()
    assert (told["titles"], told["captions"]) == ({"de": "Der Hafen"}, {"de": "Am Morgen."})
    assert second.record.titles == {}
    assert check_gallery(tmp_path, 64) == ["captions.de.toml: nothing is said of b.png"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("captions.xx.toml", "", "no language 'xx'"),
        ("captions.de.toml", '["a.pgn"]\ntitle = "A"', "did you mean a.png"),
        ("captions.de.toml", '["a.png"]\ntitel = "A"', "titel"),
        ("captions.de.toml", '["a.png"]\ncaption = "A"', "title"),
        ("captions.de.toml", "nonsense [", "not readable TOML"),
    ],
)
def test_invalid_captions_are_refused_in_a_sentence(tmp_path: Path, name: str, text: str, expected: str) -> None:
    picture(tmp_path, "a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_gallery(tmp_path)
    assert check_gallery(tmp_path, 64)


# The kiosk


@pytest.mark.parametrize(
    ("told", "ready"), [({}, True), ({"titles": "M\udcfcnchen"}, False), ({"object": object()}, False)],
    ids=["as it is", "no UTF-8", "no JSON"],
)  # fmt: skip
def test_readiness_knows_whether_the_page_can_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, object], ready: bool
) -> None:
    picture(tmp_path, "a.png")
    kiosk = Kiosk(Settings(gallery=GalleryTable(folder=str(tmp_path))))
    monkeypatch.setattr(EngineLink, "ready", True)
    page = kiosk.for_page()
    monkeypatch.setattr(kiosk, "for_page", lambda: {**page, **told})
    answers = Answers(kiosk)

    async def status() -> int:
        return (await answers.readyz(Request({"type": "http"}))).status_code

    assert complete(status()) == (200 if ready else 503)
    assert kiosk.status()["page_ready"] is ready
