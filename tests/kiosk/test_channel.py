"""The channel between server and engine process: whole messages, descriptors, and the end of either side."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator

import pytest
from livetint.kiosk.engine.channel import MAX_MESSAGE_BYTES, EngineEnd, ServerEnd
from livetint.kiosk.messages import Answer, PictureRef, Task

from .running import complete

REFS = (PictureRef("one", "1"), PictureRef("two", "2"))


@pytest.fixture
def ends() -> Iterator[tuple[ServerEnd, EngineEnd]]:
    server = ServerEnd()
    engine = EngineEnd(os.dup(server.theirs.fileno()))
    server.theirs.close()
    yield server, engine
    server.close()
    engine.socket.close()


def test_a_task_brings_descriptors_of_its_own(ends: tuple[ServerEnd, EngineEnd]) -> None:
    server, engine = ends
    files = [os.memfd_create(ref.id) for ref in REFS]
    for file, ref in zip(files, REFS, strict=True):
        os.write(file, ref.id.encode())
    task = Task("edit", *REFS, descriptors=REFS)
    complete(server.send(task, files))
    for file in files:
        os.close(file)
    received = engine.receive()
    assert received is not None
    assert received[0] == task
    assert [os.pread(file, 9, 0) for file in received[1]] == [b"one", b"two"]
    for file in received[1]:
        assert not os.get_inheritable(file)
        os.close(file)


def test_messages_longer_than_what_the_sockets_hold_arrive_whole(ends: tuple[ServerEnd, EngineEnd]) -> None:
    server, engine = ends
    task, answer = Task("edit", upsampling="guided " * 100_000), Answer(error="no " * 300_000)
    received = []

    def work() -> None:
        received.append(engine.receive())
        engine.send(answer)

    async def exchange() -> Answer:
        await server.send(task, [])
        return await server.receive()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    assert complete(exchange()) == answer
    worker.join()
    assert received == [(task, [])]


@pytest.mark.parametrize("sent", [b"", b"\x05\x00", struct.pack("<I", 9) + b"{"])
def test_an_end_in_the_middle_of_a_message_is_an_end(ends: tuple[ServerEnd, EngineEnd], sent: bytes) -> None:
    server, engine = ends
    engine.socket.sendall(sent)
    engine.socket.close()
    with pytest.raises(EOFError):
        complete(server.receive())


def test_the_engine_notices_that_the_server_is_gone(ends: tuple[ServerEnd, EngineEnd]) -> None:
    server, engine = ends
    server.close()
    assert engine.receive() is None


def test_malformed_messages_are_refused(ends: tuple[ServerEnd, EngineEnd]) -> None:
    server, engine = ends
    engine.socket.sendall(struct.pack("<I", MAX_MESSAGE_BYTES + 1))
    with pytest.raises(ValueError, match="at most"):
        complete(server.receive())
    engine.socket.sendall(struct.pack("<I", 2) + b"xx")
    with pytest.raises(ValueError, match="malformed"):
        complete(server.receive())
