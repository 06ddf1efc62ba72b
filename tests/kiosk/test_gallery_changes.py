"""A folder of photographs that changes while the kiosk runs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import pytest
from livetint.kiosk.server import gallery as gallery_module
from livetint.kiosk.server.exhibition import load_gallery
from livetint.kiosk.server.gallery import Gallery
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.settings import GalleryTable, Settings

from .running import PATIENCE_S, complete
from .test_gallery import picture


async def until_true(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def silent(*_: object, **__: object) -> AsyncIterator[set[str]]:
    """A watch that ends at once."""
    return
    yield set()


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


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Reasons that the gallery logged for not being up to date."""
    monkeypatch.setattr(logging.getLogger("livetint"), "propagate", True)

    def found() -> list[str]:
        facts = [getattr(record, "facts", {}) for record in caplog.records if record.levelno == logging.WARNING]
        return [fact["reason"] for fact in facts]

    return found


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
