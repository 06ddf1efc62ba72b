"""What the server knows of a picture, whoever brought it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from ..messages import PictureRef


class PictureRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told of a picture, and one [[photograph]] of a list.

    `hints` are [x, y, a, b] in 0…1 and CIELAB units; the attract loop uses them.
    """

    file: str
    title: str
    photographer: str = ""
    year: str = ""
    source: str = ""
    rights: str = ""
    colour: bool = False
    titles: dict[str, str] = {}
    captions: dict[str, str] = {}
    hints: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Picture(ABC):
    """A picture that visitors can paint on. `own`: a visitor brought it."""

    ref: PictureRef
    record: PictureRecord
    own: ClassVar[bool] = False

    @abstractmethod
    def open(self) -> int:
        """A new descriptor of the picture's file, read-only, at position 0. The caller closes it.

        Raises KeyError where the picture is gone, or is another one by now.
        """

    def for_visitors(self) -> dict[str, Any]:
        """What the browser is told."""
        table = msgspec.to_builtins(self.record)
        shown = {k: v for k, v in table.items() if k not in ("file", "source", "colour")}
        return {"id": self.ref.id, "own": self.own, **shown}
