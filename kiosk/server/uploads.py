"""A visitor's own picture: checked before it is read, opened by a limited child process, kept in memory, wiped.

`Uploads.receive` takes files and camera pictures alike. docs/kiosk.md states its contract with the page.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...engine.errors import ImageRejected, ImageTooLarge, LivetintError
from ..memory import NamelessFile
from ..messages import PictureRef
from ..settings import UploadsTable
from .child import run_child
from .decoding import SIGNATURE_BYTES, SIGNATURES, TOO_LARGE, kind_of
from .pictures import Picture, PictureRecord
from .visits import Visit

MAX_PICTURES = 3
MIB = 1 << 20
# Cameras "of 50 megapixels" have up to 50.4.
CAMERA_ROUNDING = 1.02


class UploadRefused(LivetintError):
    """A picture that is not accepted. `status`: of the HTTP reply. sentence: for the visitor. reason: for the log."""

    def __init__(self, status: int, sentence: str, reason: str = "") -> None:
        super().__init__(reason or sentence)
        self.status = status
        self.visitor_sentence = sentence


@dataclass(frozen=True)
class UploadedPicture(Picture):
    """A picture that a visitor brought. `file` holds its decoded pixels."""

    file: NamelessFile = field(compare=False)
    own: ClassVar[bool] = True

    def open(self) -> int:
        try:
            return self.file.open()
        except ValueError as error:
            raise KeyError(self.ref.id) from error


class Uploads:
    """The pictures of the present visitor. They have no names, are never on a disk, and no log line is about them."""

    def __init__(self, settings: UploadsTable) -> None:
        self._settings = settings
        self._busy = asyncio.Lock()
        self.pictures: dict[str, UploadedPicture] = {}

    def for_page(self) -> dict[str, Any] | None:
        """What the page needs to know to offer uploads, or None where they are off."""
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

    async def receive(
        self, length: str | None, body: AsyncIterable[bytes], visit: Visit
    ) -> tuple[UploadedPicture, list[UploadedPicture]]:
        """Take in a file whose header said `length` bytes → its picture, and the older ones that it replaced.

        Raises UploadRefused, and VisitOver where `visit` ends meanwhile; nothing of the file is kept then.
        """
        if length is None or not length.isascii() or not length.isdigit():
            raise UploadRefused(411, "The picture's size was not said.")
        if int(length) > self._max_bytes:
            raise UploadRefused(413, f"This picture is too big; at most {self._settings.max_mib:g} MiB can be opened.")
        if self._busy.locked():
            raise UploadRefused(429, "Another picture is just being opened. Please try again.")
        async with self._busy:
            data = await visit.during(self._read(body))
            file = NamelessFile("upload")
            try:
                await visit.during(self._decode(data, file))
            except BaseException:
                file.close()
                raise
        # No wait between the check of `during` and this: the visit still lasts.
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
        """Let a child process write the picture's pixels to `file`."""
        settings = self._settings
        arguments = (file.descriptor, settings.max_megapixels * CAMERA_ROUNDING, math.ceil(settings.deadline_s))
        try:
            code, _ = await run_child("decoding", arguments, data, [file.descriptor], settings.deadline_s)
        except asyncio.TimeoutError as error:
            raise UploadRefused(503, "Opening this picture took too long. Please choose another one.") from error
        if code == TOO_LARGE:
            raise UploadRefused(413, ImageTooLarge.visitor_sentence)
        if code == ImageRejected.exit_code:
            raise UploadRefused(422, ImageRejected.visitor_sentence)
        if code != 0:
            reason = f"the decoding child ended with {code}"
            raise UploadRefused(503, "This picture needs too much memory or time. Please choose another one.", reason)

    def _admit(self, file: NamelessFile) -> tuple[UploadedPicture, list[UploadedPicture]]:
        id = secrets.token_hex(8)
        picture = UploadedPicture(PictureRef(id, id), PictureRecord("", ""), file)
        replaced = [self._drop(id) for id in list(self.pictures)[: len(self.pictures) - MAX_PICTURES + 1]]
        self.pictures[id] = picture
        return picture, replaced

    def wipe(self) -> list[UploadedPicture]:
        """Let go of all pictures. Returns them, so that others forget them too."""
        return [self._drop(id) for id in list(self.pictures)]

    def _drop(self, id: str) -> UploadedPicture:
        picture = self.pictures.pop(id)
        picture.file.close()
        return picture
