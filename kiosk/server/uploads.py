"""A visitor's own picture: checked before it is read, opened by a limited child process, kept in memory, wiped.

`Uploads.receive` takes files and camera pictures alike. docs/kiosk.md states its contract with the page.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...engine.errors import ImageRejected, ImageTooLarge, LivetintError
from ..memory import NamelessFile
from ..messages import PictureRef
from ..settings import UploadsTable
from .child import run_child
from .decoding import FILE_BYTES, KEPT_MEGAPIXELS, SIGNATURE_BYTES, SIGNATURES, TOO_LARGE, kind_of
from .pictures import Picture, PictureRecord
from .visits import Visit

# Of one visitor.
MAX_PICTURES = 3
MIB = 1 << 20
# Memory for the pictures of all visitors: one screen has all of its MAX_PICTURES in any size, and every further one
# at least one. An upload is kept with at most KEPT_MEGAPIXELS.
KEPT_BYTES = int(KEPT_MEGAPIXELS * 1e6 * FILE_BYTES)
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
    """A picture that a visitor brought. `file` holds its decoded pixels. It belongs to `visit`."""

    file: NamelessFile = field(compare=False)
    visit: Visit = field(compare=False)
    own: ClassVar[bool] = True

    def open(self) -> int:
        try:
            return self.file.open()
        except ValueError as error:
            raise KeyError(self.ref.id) from error

    @property
    def size_bytes(self) -> int:
        """Memory that its pixels take."""
        return os.fstat(self.file.descriptor).st_size


class Uploads:
    """The pictures of the present visitors. They have no names, are never on a disk, and no log line is about them.

    pictures: by id, the oldest first. screens: how many visitors there may be.
    """

    def __init__(self, settings: UploadsTable, screens: int = 1) -> None:
        self._settings = settings
        self._max_kept_bytes = (MAX_PICTURES + screens - 1) * KEPT_BYTES
        self._one_at_a_time = asyncio.Lock()
        self._bringing: set[Visit] = set()
        self.pictures: dict[str, UploadedPicture] = {}

    def of(self, visit: Visit) -> list[UploadedPicture]:
        """The pictures of a visit, the oldest first."""
        return [picture for picture in self.pictures.values() if picture.visit is visit]

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

        A visitor brings one file at a time. Those of several visitors are read and opened one after the other, so that
        only one lies in memory. Raises UploadRefused, and VisitOver where `visit` ends meanwhile; nothing of the file
        is kept then.
        """
        if length is None or not length.isascii() or not length.isdigit():
            raise UploadRefused(411, "The picture's size was not said.")
        if int(length) > self._max_bytes:
            raise UploadRefused(413, f"This picture is too big; at most {self._settings.max_mib:g} MiB can be opened.")
        if visit in self._bringing:
            raise UploadRefused(429, "Another picture is just being opened. Please try again.")
        self._bringing.add(visit)
        try:
            file = await self._file(body, visit)
        finally:
            self._bringing.discard(visit)
        # No wait between the check of `during` and this: the visit still lasts.
        return self._admit(file, visit)

    async def _file(self, body: AsyncIterable[bytes], visit: Visit) -> NamelessFile:
        """The decoded pixels of a file, which the caller closes."""
        async with self._one_at_a_time:
            visit.check()
            data = await visit.during(self._read(body))
            file = NamelessFile("upload")
            try:
                await visit.during(self._decode(data, file))
            except BaseException:
                file.close()
                raise
        return file

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

    def _admit(self, file: NamelessFile, visit: Visit) -> tuple[UploadedPicture, list[UploadedPicture]]:
        id = secrets.token_hex(8)
        picture = self.pictures[id] = UploadedPicture(PictureRef(id, id), PictureRecord("", ""), file, visit)
        replaced = []
        while (excess := self._excess(visit)) is not None:
            replaced.append(self._drop(excess.ref.id))
        return picture, replaced

    def _excess(self, visit: Visit) -> UploadedPicture | None:
        """The picture to let go of now that `visit` has brought another one; None where all can stay.

        Nobody loses the only picture: where memory is short, at least one visitor has two.
        """
        own = self.of(visit)
        if len(own) > MAX_PICTURES:
            return own[0]
        if sum(picture.size_bytes for picture in self.pictures.values()) <= self._max_kept_bytes:
            return None
        if len(own) > 1:
            return own[0]
        owners = Counter(picture.visit for picture in self.pictures.values())
        most = max(owners, key=lambda owner: owners[owner])
        return self.of(most)[0] if owners[most] > 1 else None

    def wipe(self, visit: Visit) -> list[UploadedPicture]:
        """Let go of all pictures of a visit. Returns them, so that others forget them too."""
        return [self._drop(picture.ref.id) for picture in self.of(visit)]

    def _drop(self, id: str) -> UploadedPicture:
        picture = self.pictures.pop(id)
        picture.file.close()
        return picture
