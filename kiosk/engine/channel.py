"""The channel between server and engine process: a pair of Unix sockets, for messages and open descriptors.

A message is its length (uint32, little-endian) and its JSON. Descriptors travel with the length, so that a picture
reaches the engine without a path.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec

from ..messages import Answer, Task

_LENGTH = struct.Struct("<I")
MAX_MESSAGE_BYTES = 1 << 20
# The photograph and the reference.
MAX_DESCRIPTORS = 2
# Linux closes received descriptors in programs that this process starts.
_RECEIVE_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

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

        The engine has read what was sent before, so that the length always fits.
        """
        message = _encode(task)
        length = _LENGTH.pack(len(message))
        if descriptors:
            socket.send_fds(self._socket, [length], descriptors)
        else:
            self._socket.send(length)
        await asyncio.get_running_loop().sock_sendall(self._socket, message)

    async def receive(self) -> Answer:
        """The next answer. Raises EOFError when the engine process has ended, OSError, msgspec.DecodeError."""
        (length,) = _LENGTH.unpack(await self._read(_LENGTH.size))
        if length > MAX_MESSAGE_BYTES:
            raise ValueError(f"an answer of {length} bytes; at most {MAX_MESSAGE_BYTES} are expected")
        return _decode_answer(await self._read(length))

    async def _read(self, size: int) -> bytes:
        loop, data = asyncio.get_running_loop(), bytearray()
        while len(data) < size:
            piece = await loop.sock_recv(self._socket, size - len(data))
            if not piece:
                raise EOFError("the engine process ended")
            data += piece
        return bytes(data)

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
        head, descriptors = bytearray(), list[int]()
        while len(head) < _LENGTH.size:
            piece, found, _, _ = socket.recv_fds(
                self.socket, _LENGTH.size - len(head), MAX_DESCRIPTORS, _RECEIVE_FLAGS
            )  # fmt: skip
            descriptors += found
            if not piece:
                return None
            head += piece
        (length,) = _LENGTH.unpack(head)
        message = self.socket.recv(length, socket.MSG_WAITALL)
        return (_decode_task(message), descriptors) if len(message) == length else None

    def send(self, answer: Answer) -> None:
        """Send an answer. Raises OSError once the server is gone."""
        message = _encode(answer)
        self.socket.sendall(_LENGTH.pack(len(message)) + message)
