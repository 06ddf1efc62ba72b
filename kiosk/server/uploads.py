"""A visitor's own picture: bounded before it is read, opened by a limited child, kept in memory, wiped.

`Uploads.receive` is the one door, for files and for the camera. docs/kiosk.md states its contract with the page.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterable
from typing import Any

from ...engine.errors import ImageRejected, LivetintError
from ..memory import NamelessFile
from ..settings import UploadsTable
from .child import run_child
from .decoding import SIGNATURE_BYTES, SIGNATURES, kind_of
from .gallery import Picture, PictureRecord

MAX_PICTURES = 3
MIB = 1 << 20


class UploadRefused(LivetintError):
    """A picture that is not taken in; `status` is HTTP's, the message a sentence for the visitor."""

    def __init__(self, status: int, sentence: str, reason: str = "") -> None:
        super().__init__(reason or sentence)
        self.status = status
        self.visitor_sentence = sentence


class Uploads:
    """The pictures of the visitor who is there. Nothing of them has a name, a place on a disk or a line in the log."""

    def __init__(self, settings: UploadsTable) -> None:
        self._settings = settings
        self._busy = asyncio.Lock()
        self._files: OrderedDict[str, NamelessFile] = OrderedDict()
        self.pictures: dict[str, Picture] = {}

    def for_page(self) -> dict[str, Any] | None:
        """What the page needs to know to offer the door, or None where it is shut."""
        if not self._settings.enabled:
            return None
        return {
            "camera": self._settings.camera,
            "max_bytes": self._max_bytes,
            "max_megapixels": self._settings.max_megapixels,
            "types": list(SIGNATURES),
        }

    @property
    def _max_bytes(self) -> int:
        return int(self._settings.max_mib * MIB)

    async def receive(self, length: str | None, body: AsyncIterable[bytes]) -> tuple[Picture, list[Picture]]:
        """Take in a file whose header said `length` bytes → its picture, and the older ones it pushed out.

        Raises UploadRefused; nothing of the file is kept then.
        """
        if length is None or not length.isascii() or not length.isdigit():
            raise UploadRefused(411, "The picture's size was not said.")
        if int(length) > self._max_bytes:
            raise UploadRefused(413, f"This picture is too big; at most {self._settings.max_mib:g} MiB can be opened.")
        if self._busy.locked():
            raise UploadRefused(429, "Another picture is just being opened. Please try again.")
        async with self._busy:
            data = await self._read(body)
            file = NamelessFile("upload")
            try:
                await self._decode(data, file)
            except BaseException:
                file.close()
                raise
        return self._admit(file)

    async def _read(self, body: AsyncIterable[bytes]) -> bytes:
        data = bytearray()

        async def read() -> None:
            async for chunk in body:
                data.extend(chunk)
                if len(data) > self._max_bytes:
                    raise UploadRefused(413, "This picture is too big.")

        try:
            await asyncio.wait_for(read(), self._settings.deadline_s)
        except asyncio.TimeoutError as error:
            raise UploadRefused(408, "The picture came too slowly. Please try again.") from error
        if kind_of(bytes(data[:SIGNATURE_BYTES])) is None:
            raise UploadRefused(415, "Please choose a JPEG, PNG or WebP picture.")
        return bytes(data)

    async def _decode(self, data: bytes, file: NamelessFile) -> None:
        """Let a child write the picture's pixels into `file`."""
        settings = self._settings
        arguments = (file.descriptor, settings.max_megapixels, math.ceil(settings.deadline_s))
        try:
            code, _ = await run_child("decoding", arguments, data, file.descriptor, settings.deadline_s)
        except asyncio.TimeoutError as error:
            raise UploadRefused(503, "Opening this picture took too long. Please choose another one.") from error
        if code == ImageRejected.exit_code:
            raise UploadRefused(422, ImageRejected.visitor_sentence)
        if code != 0:
            reason = f"the decoding child ended with {code}"
            raise UploadRefused(503, "This picture needs too much memory or time. Please choose another one.", reason)

    def _admit(self, file: NamelessFile) -> tuple[Picture, list[Picture]]:
        id = secrets.token_hex(8)
        picture = Picture(id, file.path, PictureRecord("", ""), own=True, version=id)
        pushed_out = []
        while len(self._files) >= MAX_PICTURES:
            oldest, its = self._files.popitem(last=False)
            its.close()
            pushed_out.append(self.pictures.pop(oldest))
        self._files[picture.id] = file
        self.pictures[picture.id] = picture
        return picture, pushed_out

    def wipe(self) -> list[Picture]:
        """Let go of all; returns what there was, for others to forget it too."""
        gone = list(self.pictures.values())
        for file in self._files.values():
            file.close()
        self._files.clear()
        self.pictures.clear()
        return gone
