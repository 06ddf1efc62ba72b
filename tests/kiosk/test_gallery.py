"""Exhibitions: a folder of pictures and a list, followed while the kiosk runs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import pytest
from livetint.engine.errors import ConfigError
from livetint.kiosk.server import gallery as gallery_module
from livetint.kiosk.server.exhibition import bundled_photos, check_gallery, load_gallery
from livetint.kiosk.server.gallery import Gallery
from livetint.kiosk.settings import LANGUAGES
from PIL import Image

from .running import PATIENCE_S, complete


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


def test_a_pipe_named_like_a_picture_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(ConfigError, match=r"b\.png is missing, or no file"):
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
