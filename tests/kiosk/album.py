"""Pictures and tasks for tests of the engine service."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

import numpy as np
from livetint.engine.edits import HintRecord
from livetint.engine.image.photo import Photo
from livetint.kiosk.engine.service import EngineService
from livetint.kiosk.messages import Edit, HintMessage, PictureRef, Task
from PIL import Image

HINT = HintMessage(0.3, 0.4, 20, 30)


class Album:
    """Pictures in memory, with their descriptors."""

    def __init__(self) -> None:
        self.descriptors: dict[PictureRef, int] = {}

    def add(self, id: str, colour: tuple[int, int, int] = (120, 90, 60), version: str = "") -> PictureRef:
        """A picture of one colour over black; without a `version`, as one of the gallery."""
        pixels = np.zeros((60, 80, 3), np.uint8)
        pixels[:30] = colour
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        ref = PictureRef(id, version or hashlib.sha256(file.getvalue()).hexdigest())
        self.descriptors[ref] = os.memfd_create(id)
        os.write(self.descriptors[ref], file.getvalue())
        return ref

    def photo(self, ref: PictureRef) -> Photo:
        return Photo.from_bytes(os.pread(self.descriptors[ref], 1 << 20, 0))


def task(
    picture: PictureRef,
    *hints: HintMessage | HintRecord,
    reference: PictureRef | None = None,
    screen: int = 0,
    **more: Any,
) -> Task:
    return Task("edit", picture, reference, Edit(1, "0" * 16, hints, **more), screen=screen)


def planes(service: EngineService, asked: Task, album: Album | None = None) -> np.ndarray:
    pixels = service.do(asked, album.descriptors if album else {})[1]
    return np.frombuffer(pixels, np.float16).reshape(256, 256, 2).transpose(2, 0, 1).astype(np.float32)
