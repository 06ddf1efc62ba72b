"""Pages that come, go and break off: each ends quietly, and the next page gets its screen."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from livetint.kiosk.memory import NamelessFile
from livetint.kiosk.server.exports import FileReply
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.server.tasks import end_tasks
from livetint.kiosk.server.touches import Touches
from livetint.kiosk.server.visits import Visit, VisitOver
from livetint.kiosk.settings import ServerTable, Settings
from starlette.types import Message
from starlette.websockets import WebSocket

from .processes import alive
from .running import RunningKiosk, complete, until
from .test_server import controls, edit, first_picture, reply

Send = Callable[[Message], Awaitable[None]]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# WebSockets


def page(send: Send, *received: Message) -> WebSocket:
    """A WebSocket that gets messages and then nothing more; what the server sends goes to `send`."""
    messages = [{"type": "websocket.connect"}, *received]

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return WebSocket({"type": "websocket", "headers": [], "query_string": b"", "path": "/touches"}, receive, send)


@pytest.mark.parametrize("gone_at", ["websocket.accept", "websocket.send"])
def test_a_page_that_is_gone_before_the_welcome_ends_without_a_traceback(gone_at: str) -> None:
    async def send(message: Message) -> None:
        if message["type"] == gone_at:
            raise OSError("the client is gone")

    async def run() -> None:
        touches = Touches(Kiosk(Settings()))
        await touches(page(send))
        assert touches.kiosk.screens.connected == []

    complete(run())


def test_a_page_that_is_gone_before_it_is_told_to_wait_takes_nothing_from_the_one_that_is_there() -> None:
    async def gone(message: Message) -> None:
        if message["type"] == "websocket.close":
            raise OSError("the client is gone")

    async def run() -> None:
        touches = Touches(Kiosk(Settings(server=ServerTable(screens=1))))
        welcomed = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                welcomed.set()

        first = asyncio.create_task(touches(page(send)))
        await welcomed.wait()
        [screen] = touches.kiosk.screens
        name, visit = screen.name, screen.visit
        assert name and screen.connected
        await touches(page(gone))
        assert screen.connected
        assert (screen.name, screen.visit) == (name, visit)
        await end_tasks([first])
        assert not screen.connected

    complete(run())


def test_a_page_that_leaves_during_a_slow_edit_frees_its_screen_at_once_and_costs_no_engine(
    stub: Path, tmp_path: Path
) -> None:
    kiosk = RunningKiosk(tmp_path, stub, engine={"deadline_s": 60.0, "spare": False}, server={"screens": 1})
    try:
        photo, engine = first_picture(kiosk), kiosk.worker
        os.kill(engine, signal.SIGSTOP)  # as slow as can be
        with controls(kiosk) as leaving:
            leaving.send(edit(photo, 1))
        with controls(kiosk) as staying:
            status = kiosk.status()
            assert (status["engine_faults"], status["engine_pid"]) == (0, engine)
            staying.send(edit(photo, 2))
            os.kill(engine, signal.SIGCONT)
            assert reply(staying)[0]["seq"] == 2
        assert kiosk.status()["engine_faults"] == 0
        assert alive(engine)
    finally:
        kiosk.close()


def test_a_task_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    async def run() -> None:
        started, lost = asyncio.Event(), 0

        async def stubborn() -> None:
            nonlocal lost
            while lost < 2:
                try:
                    started.set()
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    lost += 1
            raise ValueError("an error at the end is nobody's")

        async def gentle() -> None:
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(stubborn()), asyncio.create_task(gentle())]
        await started.wait()
        await end_tasks(tasks)
        assert [task.done() for task in tasks] == [True, True]
        assert lost == 2

    complete(run())


# Files


def served(file: NamelessFile, visit: Visit, send: Send, receive: Callable[[], Awaitable[Message]]) -> None:
    """Send a file as a web server does that tells of a client who leaves (ASGI 2.3)."""

    async def run() -> None:
        scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": [], "asgi": {"spec_version": "2.3"}}
        await FileReply(file, visit, "image/png", {})(scope, receive, send)

    complete(run())


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> Message:
    return {"type": "http.disconnect"}


def filled(size: int) -> NamelessFile:
    file = NamelessFile("test")
    os.truncate(file.descriptor, size)
    return file


def test_a_file_is_sent_whole_and_closed() -> None:
    before, sent = descriptors(), []

    async def send(message: Message) -> None:
        sent.append(message)

    served(filled(1_000_000), Visit(), send, stays)
    assert sum(len(message.get("body", b"")) for message in sent) == 1_000_000
    assert (b"content-length", b"1000000") in sent[0]["headers"]
    assert sent[-1]["more_body"] is False
    until(lambda: descriptors() <= before, "all descriptors to be closed")


@pytest.mark.parametrize("when", ["at once", "in the middle", "where it cannot be read", "where sending fails"])
def test_a_file_is_closed_whatever_happens(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise OSError(5, "input/output error")

    before = descriptors()
    file = filled(1_000_000)
    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        sent += 1
        if when == "where sending fails":
            raise OSError("broken pipe")
        if when == "in the middle" and sent == 2:
            await asyncio.Event().wait()  # a client that does not read; then it leaves

    async def receive() -> Message:
        if when == "at once":
            return await leaves()
        if when == "in the middle":
            while sent < 2:
                await asyncio.sleep(0)
            return await leaves()
        return await stays()

    if when == "where it cannot be read":
        monkeypatch.setattr(os, "pread", fails)
    try:
        served(file, Visit(), send, receive)
    except Exception as error:  # noqa: BLE001 - what the web server logs is not the question
        logging.getLogger(__name__).info("%r", error)
    assert file.descriptor == -1
    until(lambda: descriptors() <= before, "all descriptors to be closed")


def test_a_download_is_cut_off_where_its_visit_ends() -> None:
    before = descriptors()
    visit, sent = Visit(), []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 2:
            visit.end()

    served(filled(1_000_000), visit, send, stays)
    assert 0 < sum(len(message.get("body", b"")) for message in sent) < 1_000_000
    assert all(message.get("more_body", True) for message in sent), "nobody takes it for a whole file"
    until(lambda: descriptors() <= before, "all descriptors to be closed")


# Visits


def test_work_of_a_visit_is_cancelled_with_it_and_has_tidied_up_when_that_is_said() -> None:
    async def run() -> None:
        visit, tidied = Visit(), False

        async def work() -> None:
            nonlocal tidied
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                tidied = True

        waiting = asyncio.create_task(visit.during(work()))
        await asyncio.sleep(0)
        assert visit.end().number == 2
        with pytest.raises(VisitOver):
            await waiting
        assert tidied
        with pytest.raises(VisitOver):
            await visit.during(asyncio.sleep(0))

    complete(run())


def test_work_of_a_visit_gives_its_result_or_its_error_and_is_cancelled_with_whoever_waits() -> None:
    async def run() -> None:
        visit = Visit()

        async def seven() -> int:
            return 7

        async def wrong() -> None:
            raise ValueError("wrong")

        assert await visit.during(seven()) == 7
        with pytest.raises(ValueError, match="wrong"):
            await visit.during(wrong())
        started, cancelled = asyncio.Event(), False

        async def long() -> None:
            nonlocal cancelled
            try:
                started.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

        waiting = asyncio.create_task(visit.during(long()))
        await started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert cancelled
        assert len(asyncio.all_tasks()) == 1, "nothing runs on"

    complete(run())


def test_the_end_of_the_kiosk_ends_the_visit(stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub)
    engine = kiosk.worker
    kiosk.close()
    until(lambda: not alive(engine), "the end of the engine")
    assert "Traceback" not in kiosk.log.read_text()
