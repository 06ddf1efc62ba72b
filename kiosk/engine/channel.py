"""The channel between server and engine process: a pair of Unix sockets, for messages and open descriptors.

A message is its length (uint32, little-endian) and its JSON. Descriptors travel with it, so that a picture reaches the
engine without a path. Each side waits for the other's message before it sends one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct

import msgspec

from ..messages import Answer, Task

_LENGTH = struct.Struct("<I")
MAX_MESSAGE_BYTES = 1 << 20
RECEIVE_BYTES = 1 << 16
# The photograph and the reference.
MAX_DESCRIPTORS = 2

_encode = msgspec.json.Encoder().encode
_decode_task = msgspec.json.Decoder(Task).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


class ServerEnd:
    """The server's end, for one asyncio loop. `theirs` is the other end, to be handed to the engine process."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair()
        self._socket.setblocking(False)

    async def send(self, task: Task, descriptors: list[int]) -> None:
        """Send a task with copies of `descriptors`, which stay the caller's. Raises OSError.

        The engine has read everything sent before, so that the start of a message always fits.
        """
        message = _framed(task)
        sent = socket.send_fds(self._socket, [message], descriptors) if descriptors else self._socket.send(message)
        if sent < len(message):
            await asyncio.get_running_loop().sock_sendall(self._socket, message[sent:])

    async def receive(self) -> Answer:
        """The next answer. Raises EOFError when the engine process has ended, OSError, ValueError for no message."""
        loop, data = asyncio.get_running_loop(), bytearray()
        while _is_incomplete(data):
            piece = await loop.sock_recv(self._socket, RECEIVE_BYTES)
            if not piece:
                raise EOFError("the engine process ended")
            data += piece
        return _decode_answer(data[_LENGTH.size :])

    def close(self) -> None:
        """Close both ends, as far as they are open."""
        self._socket.close()
        self.theirs.close()


class EngineEnd:
    """The engine process's end, which blocks."""

    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)

    def receive(self) -> tuple[Task, list[int]] | None:
        """The next task and its descriptors, which the caller closes; None once the server is gone."""
        data, descriptors = bytearray(), list[int]()
        while _is_incomplete(data):
            piece, found, _, _ = socket.recv_fds(self.socket, RECEIVE_BYTES, MAX_DESCRIPTORS)
            for descriptor in found:
                os.set_inheritable(descriptor, False)
            descriptors += found
            if not piece:
                return None
            data += piece
        return _decode_task(data[_LENGTH.size :]), descriptors

    def send(self, answer: Answer) -> None:
        """Send an answer. Raises OSError once the server is gone."""
        self.socket.sendall(_framed(answer))


def _framed(message: Task | Answer) -> bytes:
    text = _encode(message)
    return _LENGTH.pack(len(text)) + text


def _is_incomplete(data: bytearray) -> bool:
    """Whether more of a message is to come. Raises ValueError for a length that is none."""
    if len(data) < _LENGTH.size:
        return True
    (length,) = _LENGTH.unpack_from(data)
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes; at most {MAX_MESSAGE_BYTES} are expected")
    return len(data) < _LENGTH.size + length
