"""The server's link to the engine: descriptors where they are needed, abandoned tasks, faults counted once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livetint.kiosk.engine.link import EngineLink, EngineLost, TaskRefused
from livetint.kiosk.messages import Answer, Edit, PictureRef, Task
from livetint.kiosk.settings import EngineTable

from .processes import facts_of
from .running import PATIENCE_S, complete
from .test_engine_process import SLOW, SLOW_SIZE, paint


def task(picture: PictureRef) -> Task:
    return Task("edit", picture, edit=Edit(1, "0" * 16))


class Folder:
    """Pictures by id: `open` notes which were asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[str] = []

    def add(self, id: str, size: tuple[int, int] = (60, 80)) -> PictureRef:
        paint(self.path / id, (90, 120, 50), size)
        return PictureRef(id, "1")

    def open(self, ref: PictureRef) -> int:
        self.opened.append(ref.id)
        try:
            return os.open(self.path / ref.id, os.O_RDONLY)
        except FileNotFoundError as error:
            raise KeyError(ref.id) from error


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def with_link(stub: Path, test: Callable[[EngineLink], Coroutine[Any, Any, None]]) -> None:
    """Run `test` with a link whose engine is ready."""

    @asynccontextmanager
    async def link() -> AsyncIterator[EngineLink]:
        link = EngineLink(EngineTable(model=str(stub), threads=1, spare=False), 64)
        link.start()
        try:
            await asyncio.wait_for(link.wait_ready(), PATIENCE_S)
            yield link
        finally:
            await link.close()

    async def run() -> None:
        async with link() as ready:
            await asyncio.wait_for(test(ready), 2 * PATIENCE_S)

    complete(run())


async def until_exists(path: Path) -> None:
    async def look() -> None:
        while not path.exists():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), PATIENCE_S)


def test_a_picture_is_opened_once_while_the_engine_holds_it_and_again_after(stub: Path, folder: Folder) -> None:
    refs = [folder.add(name) for name in "abcd"]

    async def test(link: EngineLink) -> None:
        for ref in (refs[0], refs[0], *refs, refs[0], refs[3]):
            await link.ask(task(ref), folder.open)
        assert folder.opened == ["a", "b", "c", "d", "a"]
        await link.forget(refs[3])
        await link.ask(task(refs[3]), folder.open)
        assert folder.opened[5:] == ["d"]

    with_link(stub, test)


def test_those_who_wait_take_turns_with_the_task_that_is_the_newest_then(stub: Path, folder: Folder) -> None:
    ref = folder.add("a")

    async def test(link: EngineLink) -> None:
        await link.ask(task(ref), folder.open)
        newest, taken = [0] * 8, list[tuple[int, int]]()

        async def paint(screen: int) -> None:
            def take() -> Task:
                taken.append((screen, newest[screen]))
                return task(ref)

            for _ in range(5):
                await link.ask(take, folder.open)

        painting = [asyncio.create_task(paint(screen)) for screen in range(8)]
        while not all(page.done() for page in painting):
            newest = [number + 1 for number in newest]
            await asyncio.sleep(0)
        assert [screen for screen, _ in taken] == list(range(8)) * 5
        numbers = [number for _, number in taken]
        assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)
        with pytest.raises(KeyError):
            await link.ask(lambda: task({}["gone"]), folder.open)
        assert (await link.ask(task(ref), folder.open))[0].ok, "the turn of one whose picture is gone is over"

    with_link(stub, test)


def test_descriptors_are_closed_on_both_sides(stub: Path, folder: Folder) -> None:
    refs = [folder.add(str(number)) for number in range(12)]

    async def test(link: EngineLink) -> None:
        def open_files() -> list[int]:
            return [facts_of(process)[1] for process in (os.getpid(), link.worker_pid or 0)]

        await link.ask(task(refs[0]), folder.open)
        before = open_files()
        for ref in refs:
            await link.ask(task(ref), folder.open)
        assert open_files() == before

    with_link(stub, test)


def test_a_picture_that_is_gone_or_cannot_be_opened_keeps_the_engine(stub: Path, folder: Folder) -> None:
    ref = folder.add("a")

    def denied(_: PictureRef) -> int:
        raise PermissionError(13, "Permission denied")

    async def test(link: EngineLink) -> None:
        with pytest.raises(KeyError):
            await link.ask(task(PictureRef("gone", "1")), folder.open)
        with pytest.raises(KeyError):
            await link.ask(Task("edit", ref, PictureRef("gone", "1"), Edit(1, "0" * 16)), folder.open)
        with pytest.raises(TaskRefused, match="Permission denied"):
            await link.ask(task(ref), denied)
        with pytest.raises(TaskRefused, match="replaced meanwhile") as refusal:
            await link.ask(task(PictureRef("a", "0" * 64)), folder.open)
        assert refusal.value.visitor_sentence == "This picture is no longer on show."
        assert (await link.ask(task(ref), folder.open))[0].ok
        assert link.faults == 0

    with_link(stub, test)


def test_a_cancelled_caller_returns_at_once_and_the_next_one_gets_its_own_answer(
    stub: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.path / "sitecustomize.py").write_text(SLOW)
    (folder.path / "shut").touch()
    monkeypatch.setenv("PYTHONPATH", str(folder.path))
    monkeypatch.setenv("LIVETINT_TEST_SLOW", str(folder.path))
    slow, other, never = folder.add("slow", SLOW_SIZE), folder.add("other"), folder.add("never")

    async def test(link: EngineLink) -> None:
        leaving = asyncio.create_task(link.ask(task(slow), folder.open))
        await until_exists(folder.path / "opening")
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        waiting = [asyncio.create_task(link.ask(task(ref), folder.open)) for ref in (never, other)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        (folder.path / "shut").unlink()
        answer: Answer = (await waiting[1])[0]
        assert answer.held == [slow, other]
        assert folder.opened == ["slow", "other"]
        assert link.faults == 0

    with_link(stub, test)


def test_a_process_that_dies_in_a_task_is_one_fault(
    stub: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.path / "sitecustomize.py").write_text(SLOW)
    (folder.path / "shut").touch()
    monkeypatch.setenv("PYTHONPATH", str(folder.path))
    monkeypatch.setenv("LIVETINT_TEST_SLOW", str(folder.path))
    slow = folder.add("slow", SLOW_SIZE)

    async def test(link: EngineLink) -> None:
        asking = asyncio.create_task(link.ask(task(slow), folder.open))
        await until_exists(folder.path / "opening")
        first = link.worker_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(EngineLost):
            await asking
        (folder.path / "shut").unlink()
        assert (await link.ask(task(slow), folder.open))[0].held == [slow]
        assert link.faults == 1
        assert link.worker_pid != first
        assert folder.opened == ["slow", "slow"], "the new process does not hold it"

    with_link(stub, test)
