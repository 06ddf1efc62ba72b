"""The server keeps the files of touches in the page, of pictures on show alone."""

from __future__ import annotations

from typing import cast

import pytest
from livetint.kiosk.messages import PictureRef, Task
from livetint.kiosk.server import touch_files
from livetint.kiosk.server.pictures import Picture
from livetint.kiosk.server.touch_files import TouchFiles

from .running import complete


class Engine:
    """Makes a file for every task, and remembers the tasks."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.shown: dict[str, Picture] = {}

    async def __call__(self, task: Task) -> bytes:
        ref = task.picture or task.reference
        self.asked.append((task.op, ref.id if ref else ""))
        return f"{task.op} {ref.version if ref else ''}".encode()

    def show(self, id: str, version: str) -> PictureRef:
        ref = PictureRef(id, version)
        self.shown[id] = cast(Picture, FakePicture(ref))
        return ref


class FakePicture:
    def __init__(self, ref: PictureRef) -> None:
        self.ref = ref


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def files(engine: Engine) -> TouchFiles:
    return TouchFiles(engine, lambda: engine.shown)


def test_a_file_is_made_once_and_again_for_another_version(engine: Engine, files: TouchFiles) -> None:
    ref = engine.show("a", "1")
    assert complete(files.get("features", "a")) == complete(files.get("features", "a")) == b"features 1"
    assert complete(files.get("histogram", "a")) == b"histogram 1"
    assert complete(files.heads()) == complete(files.heads()) == b"heads "
    assert engine.asked == [("features", "a"), ("histogram", "a"), ("heads", "")]
    files.forget(ref)
    engine.show("a", "2")
    assert complete(files.get("features", "a")) == b"features 2"


def test_a_picture_that_is_not_on_show_has_no_files(engine: Engine, files: TouchFiles) -> None:
    with pytest.raises(KeyError):
        complete(files.get("features", "a"))
    assert engine.asked == []


def test_a_picture_that_is_replaced_meanwhile_gives_no_file(engine: Engine) -> None:
    async def replacing(task: Task) -> bytes:
        engine.show("a", "2")
        return await engine(task)

    files = TouchFiles(replacing, lambda: engine.shown)
    engine.show("a", "1")
    with pytest.raises(KeyError):
        complete(files.get("features", "a"))
    assert complete(files.get("features", "a")) == b"features 2"


def test_the_least_recently_used_files_go_first(
    engine: Engine, files: TouchFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(touch_files, "MAX_KEPT_BYTES", 2 * len(b"features 1"))
    for id in "abac":
        engine.show(id, "1")
        complete(files.get("features", id))
    engine.asked.clear()
    for id in "acb":
        complete(files.get("features", id))
    assert engine.asked == [("features", "b")]
