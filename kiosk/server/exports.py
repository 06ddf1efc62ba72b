"""Saving: the file of a coloured photograph, made beside the painting, then kept, taken away or downloaded."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ...engine.errors import OutputError
from ...engine.files import replacing, sync, write_error
from ..memory import NamelessFile
from ..messages import Edit
from ..settings import Settings
from . import wall
from .child import run_child
from .labels import Label, plain_name
from .takeaway import Takeaways
from .visits import Visit, VisitOver

# The connection that waits for a file has a little longer (ANSWER_DEADLINE_S of listener.py).
DEADLINE_S = 150.0
CHUNK_BYTES = 1 << 18

Colours = Callable[[Edit, Visit], Coroutine[Any, Any, bytes]]


class Exporter:
    """Makes files of coloured photographs, one at a time, each in a process of its own whose memory is bounded.

    Every file is made for a visit; nothing is written, offered or sent once that visit is over.

    colours: gives an edit's colours, of `pack_colours`. open_picture: gives a descriptor of the picture with an
    id, which is closed here. Both raise KeyError where the visit has no such picture (any more).
    """

    def __init__(self, settings: Settings, colours: Colours, open_picture: Callable[[str, Visit], int]) -> None:
        self._folder = Path(settings.saving.folder)
        self._wall = Path(settings.wall.folder)
        self._with_line = settings.saving.line
        self._max_megapixels = max(settings.gallery.max_megapixels, settings.uploads.max_megapixels)
        self._upsampling = settings.screen.upsampling
        self._colours, self._open_picture = colours, open_picture
        self._one_at_a_time = asyncio.Lock()
        self.takeaways = Takeaways(settings.takeaway, settings.server.screens)

    async def render(
        self, edit: Edit, visit: Visit, label: Label, extension: str = ".png", side_px: int = 0
    ) -> NamelessFile:
        """The coloured photograph, as a file that the caller closes. Painting goes on meanwhile.

        label: what the file says of the picture. Nothing of the photograph's own metadata gets into it.
        side_px: its longer side at most; 0: its full size.
        Raises KeyError, OutputError, VisitOver, and what the engine raises.
        """
        colours = await visit.during(self._colours(edit, visit))
        texts = msgspec.json.encode(await asyncio.to_thread(label.for_file, self._with_line)).decode()
        async with self._one_at_a_time:
            visit.check()
            file = NamelessFile("render")
            try:
                source = self._open_picture(edit.photo, visit)
                try:
                    await visit.during(self._render(source, file.descriptor, extension, side_px, colours, texts))
                finally:
                    os.close(source)
            except BaseException:
                file.close()
                raise
            return file

    async def _render(self, source: int, target: int, extension: str, side_px: int, colours: bytes, texts: str) -> None:
        cpu_s = math.ceil(DEADLINE_S)
        arguments = (source, target, extension, side_px, self._max_megapixels, cpu_s, self._upsampling, texts)
        try:
            code, error = await run_child("rendering", arguments, colours, (source, target), DEADLINE_S)
        except asyncio.TimeoutError as late:
            raise OutputError(f"saving took longer than {DEADLINE_S:g} s and was given up") from late
        if code:
            raise OutputError(error or f"the child that saves ended with {code}")

    async def keep(self, edit: Edit, visit: Visit, label: Label) -> str:
        """Write the coloured photograph to the folder of the settings; returns its name. Raises as `render`."""
        title = plain_name(label.title).replace(" ", "-") or "livetint"
        return await self._keep(self._folder, title, edit, visit, label, ".png")

    async def hang(self, edit: Edit, visit: Visit, label: Label) -> str:
        """Write a copy of the coloured photograph to the folder of the wall; returns its name. Raises as `render`."""
        return await self._keep(self._wall, "picture", edit, visit, label, ".jpg", wall.SIDE_PX)

    async def _keep(
        self, folder: Path, title: str, edit: Edit, visit: Visit, label: Label, extension: str, side_px: int = 0
    ) -> str:
        name = f"{title}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}{extension}"
        path = folder / name
        with await self.render(edit, visit, label, extension, side_px) as file:
            # A slow or full disk makes this one visitor wait, not the finger of the next.
            await asyncio.to_thread(_write, file.open(), path, visit)
        if visit.over:  # in the moment between the last check and the rename
            await asyncio.to_thread(_remove, path)
            raise VisitOver
        return name

    async def take_away(self, edit: Edit, visit: Visit, label: Label) -> str:
        """Make the coloured photograph fetchable for a while; returns the address that a phone opens."""
        with await self.render(edit, visit, label, ".jpg") as file:
            picture = await asyncio.to_thread(_read, file.open())
        visit.check()
        return self.takeaways.offer(picture, label)


def _write(source: int, path: Path, visit: Visit) -> None:
    """Copy what the descriptor `source` holds to `path`, whole or not at all; closes `source`."""
    with os.fdopen(source, "rb") as file, replacing(path) as temporary:
        with temporary.open("wb") as out:
            shutil.copyfileobj(file, out)
        sync(temporary)
        visit.check()


def _read(source: int) -> bytes:
    with os.fdopen(source, "rb") as file:
        return file.read()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


class FileReply(StreamingResponse):
    """A file in pieces, so that no copy of it lies in memory. It is cut off where the visit ends.

    The file is closed in every case. (A background task would not run where reading or sending fails.)
    """

    def __init__(self, file: NamelessFile, visit: Visit, media_type: str, headers: dict[str, str]) -> None:
        size = os.fstat(file.descriptor).st_size
        super().__init__(_chunks(file, visit), headers={**headers, "content-length": str(size)}, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(VisitOver):  # the server closes the connection then, and the client sees half a file
            await super().stream_response(send)


async def _chunks(file: NamelessFile, visit: Visit) -> AsyncIterator[bytes]:
    start = 0
    while chunk := os.pread(file.descriptor, CHUNK_BYTES, start):
        visit.check()
        start += len(chunk)
        yield chunk
