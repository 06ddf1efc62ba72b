"""Saving: the file of a coloured photograph, made beside the painting and handed out piece by piece."""

from __future__ import annotations

import asyncio
import math
import os

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...engine.errors import OutputError
from ..memory import NamelessFile
from .child import run_child

# The connection that waits for a file has a little longer (ANSWER_DEADLINE_S of listener.py).
DEADLINE_S = 150.0
PIECE_BYTES = 1 << 18


class Exporter:
    """Makes files of coloured photographs, one at a time, each in a process of its own whose memory is bounded."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()

    async def make(
        self, picture: str, ab: bytes, extension: str, max_megapixels: float, upsampling: str
    ) -> NamelessFile:
        """The file of `extension` with the colours `ab` (a .npy of float32 [2, h, w]) on the light of `picture`,
        brought to its size by `upsampling`, one of `engine.compose`.

        The caller closes it. Raises OutputError.
        """
        file = NamelessFile("render")
        try:
            async with self._busy:
                arguments = (picture, extension, file.descriptor, max_megapixels, math.ceil(DEADLINE_S), upsampling)
                code, said = await run_child("rendering", arguments, ab, file.descriptor, DEADLINE_S)
            if code:
                raise OutputError(said.replace(picture, "the picture") or f"the child that saves ended with {code}")
        except asyncio.TimeoutError as error:
            file.close()
            raise OutputError(f"saving took longer than {DEADLINE_S:g} s and was given up") from error
        except BaseException:
            file.close()
            raise
        return file


class FileReply(Response):
    """A file that is closed once it has been sent, in pieces: no copy of it in memory, nobody else waits."""

    def __init__(self, file: NamelessFile, media_type: str, headers: dict[str, str]) -> None:
        size = os.fstat(file.descriptor).st_size
        super().__init__(None, headers={**headers, "content-length": str(size)}, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file as file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            at = 0
            while piece := os.pread(file.descriptor, PIECE_BYTES, at):
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
