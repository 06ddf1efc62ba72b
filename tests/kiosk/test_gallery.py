"""Exhibitions: a folder of pictures and a list, followed while the kiosk runs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import pytest
from livetint.engine.errors import ConfigError
from livetint.engine.image import formats
from livetint.kiosk.engine.link import EngineLink
from livetint.kiosk.server import gallery as gallery_module
from livetint.kiosk.server.app import Answers
from livetint.kiosk.server.exhibition import bundled_photos, check_gallery, load_gallery
from livetint.kiosk.server.gallery import Gallery
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.server.touches import Touches
from livetint.kiosk.settings import LANGUAGES, GalleryTable, Settings
from PIL import Image
from starlette.requests import Request

from ..needs import needs
from .running import PATIENCE_S, complete

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


def test_a_bad_entry_is_said_once_in_the_log_and_in_the_status(
    tmp_path: Path, warnings: Callable[[], list[str]]
) -> None:
    picture(tmp_path, "a.png")
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "y.jpg").touch()  # it may be being copied
    kiosk = Kiosk(Settings(gallery=GalleryTable(folder=str(tmp_path))))
    complete(kiosk.gallery.reload())
    assert warnings() == ["x.jpg is a folder; move its pictures up"]
    assert kiosk.status()["left_out"] == [*warnings(), "y.jpg is empty"]
    (tmp_path / "x.jpg").rmdir()
    (tmp_path / "y.jpg").unlink()
    complete(kiosk.gallery.reload())
    assert kiosk.status()["left_out"] == []


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
    answers = Answers(kiosk, Touches(kiosk))

    async def status() -> int:
        return (await answers.readyz(Request({"type": "http"}))).status_code

    assert complete(status()) == (200 if ready else 503)
    assert kiosk.status()["page_ready"] is ready


# Changes


def replace(folder: Path, name: str, grey: int) -> None:
    """Put another picture of the same name into the folder, in one step."""
    picture(folder.parent, f"{folder.name}-{name}", grey)
    (folder.parent / f"{folder.name}-{name}").replace(folder / name)


def follow(gallery: Gallery, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` while the gallery follows its folder; it must still do so at the end."""

    async def run() -> None:
        watch = asyncio.create_task(gallery.watch())
        try:
            await asyncio.wait_for(work(), PATIENCE_S)
            assert not watch.done()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    complete(run())


async def until_true(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def silent(*_: object, **__: object) -> AsyncIterator[set[str]]:
    """A watch that ends at once."""
    return
    yield set()


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Reasons that the gallery logged for not being up to date."""
    monkeypatch.setattr(logging.getLogger("livetint"), "propagate", True)

    def found() -> list[str]:
        facts = [getattr(record, "facts", {}) for record in caplog.records if record.levelno == logging.WARNING]
        return [fact["reason"] for fact in facts]

    return found


def test_a_folder_that_cannot_be_watched_is_read_again_and_again_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]]
) -> None:
    picture(tmp_path, "a.png")
    gallery = Gallery(tmp_path, lambda gone: None)
    monkeypatch.setattr(gallery_module, "LOOK_AGAIN_S", 0.001)

    def no_watch(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(gallery_module, "awatch", no_watch)

    async def work() -> None:
        picture(tmp_path, "b.png", 20)
        await until_true(lambda: len(gallery.pictures) == 2)
        picture(tmp_path, "c.png", 30)
        await until_true(lambda: len(gallery.pictures) == 3)

    follow(gallery, work)
    assert warnings() == ["OSError [Errno 28] inotify watch limit reached"]


@pytest.mark.parametrize("error", [OSError(5, "input/output error"), RuntimeError("symlink loop"), MemoryError()])
def test_any_error_while_the_folder_is_read_is_said_once_and_the_watch_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]], error: Exception
) -> None:
    picture(tmp_path, "a.png")
    gallery = Gallery(tmp_path, lambda gone: None)
    monkeypatch.setattr(gallery_module, "LOOK_AGAIN_S", 0.001)
    failures = 0

    def failing(*_: object) -> NoReturn:
        nonlocal failures
        failures += 1
        raise error

    broken = pytest.MonkeyPatch()
    broken.setattr(gallery_module, "awatch", silent)  # it looks again soon
    broken.setattr(gallery_module, "load_gallery", failing)

    async def work() -> None:
        await until_true(lambda: failures > 3)
        broken.undo()
        picture(tmp_path, "b.png", 20)
        await until_true(lambda: len(gallery.pictures) == 2)

    follow(gallery, work)
    assert warnings() == [f"{type(error).__name__} {error}".strip()]


def test_what_changed_just_before_the_watch_began_is_seen(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    gallery = Gallery(tmp_path, lambda gone: None)
    picture(tmp_path, "b.png", 20)

    async def work() -> None:
        await until_true(lambda: len(gallery.pictures) == 2)

    follow(gallery, work)


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path, "a.png", 10)
    before = load_gallery(tmp_path)
    picture(tmp_path, "b.png", 20)
    read: list[int] = []
    sha256 = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda data: read.append(len(data)) or sha256(data))
    assert len(load_gallery(tmp_path, before.values())) == 2
    assert read == [(tmp_path / "b.png").stat().st_size]


def test_pictures_that_left_or_were_replaced_are_told_to_those_who_keep_something_of_them(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", 10)
    picture(tmp_path, "b.png", 20)
    gone: list[str] = []
    gallery = Gallery(tmp_path, lambda picture: gone.append(picture.ref.version))
    old = {shown.record.file: shown.ref.version for shown in gallery.pictures.values()}

    async def work() -> None:
        replace(tmp_path, "a.png", 30)
        await until_true(lambda: gallery.edition == 1)
        (tmp_path / "b.png").unlink()
        await until_true(lambda: gallery.edition == 2)

    follow(gallery, work)
    assert gone == [old["a.png"], old["b.png"]]
    assert [shown.record.file for shown in gallery.pictures.values()] == ["a.png"]


def test_a_picture_that_was_replaced_unnoticed_is_not_opened_for_the_old_one(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", 10)
    gallery = Gallery(tmp_path, lambda gone: None)
    [shown] = gallery.pictures.values()
    descriptor = gallery.open(shown.ref.id)
    with os.fdopen(descriptor, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == shown.ref.version
    replace(tmp_path, "a.png", 200)
    with pytest.raises(KeyError):
        gallery.open(shown.ref.id)
    complete(gallery.reload())
    [shown] = gallery.pictures.values()
    os.close(gallery.open(shown.ref.id))
    (tmp_path / "a.png").unlink()
    with pytest.raises(KeyError):
        gallery.open(shown.ref.id)
    assert gallery.edition == 1


def test_a_changed_file_that_no_watch_told_of_is_found_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network share, whose changes the kernel does not tell."""
    picture(tmp_path, "a.png", 10)
    gallery = Gallery(tmp_path, lambda gone: None)
    [old] = gallery.pictures
    monkeypatch.setattr(gallery_module, "LOOK_AGAIN_S", 0.001)

    async def deaf(*_: object, stop_event: asyncio.Event, **__: object) -> AsyncIterator[set[str]]:
        await stop_event.wait()
        return
        yield set()

    monkeypatch.setattr(gallery_module, "awatch", deaf)

    async def work() -> None:
        replace(tmp_path, "a.png", 30)
        with pytest.raises(KeyError):
            gallery.open(old)
        await until_true(lambda: old not in gallery.pictures)

    follow(gallery, work)
