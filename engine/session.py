"""A session colours one photograph: undo, redo and JSON over a Painter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .colour.global_hints import GlobalHints
from .edits import Edits, edits_to_json, parse_edits
from .errors import HintRejected
from .files import atomic_write
from .hints import DEFAULT_SIZE_PX, Hint, Line
from .image.compose import check_strength, resize_lightness
from .image.photo import Photo
from .next_touch import Place
from .painter import Painter, Picture
from .regions import Region
from .runners.base import Runner
from .strokes import Mark, Stroke, as_stroke
from .suggest import DEFAULT_COUNT, Suggestions


class Session:
    """One photograph, encoded once, and the hints on it. Every edit can be undone and redone.

    vivid: the factor of the automatic colours at the start. Raises HintRejected as `Runner.with_vivid`.
    """

    def __init__(self, photo: Photo, runner: Runner, vivid: float = 1.0) -> None:
        self.painter = Painter(photo, runner, vivid)
        self._edits = Edits(vivid=vivid)
        self._past: list[Edits] = []
        self._future: list[Edits] = []

    # State

    @property
    def photo(self) -> Photo:
        return self.painter.photo

    @property
    def runner(self) -> Runner:
        return self.painter.runner

    @property
    def hints(self) -> tuple[Mark, ...]:
        """The hints, points and strokes, in the order they were placed; later ones lie on top."""
        return self._edits.hints

    @property
    def points(self) -> tuple[Hint, ...]:
        """The point hints that the network is given: those of `hints`, and those that carry its strokes."""
        return self.painter.points(self.hints)

    @property
    def global_hints(self) -> GlobalHints:
        """The hints for the picture as a whole."""
        return self._edits.global_hints

    @property
    def vivid(self) -> float:
        """The factor of the automatic colours, in 0.5…2; hints keep their exact colours."""
        return self._edits.vivid

    @property
    def strength(self) -> float:
        """The strength of colour of the picture that `render` makes, in 0…2: a factor on the finished ab."""
        return self._edits.strength

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    # Answers

    @property
    def ab(self) -> NDArray[np.float32]:
        """The current ab, float32 [2, 256, 256] in CIELAB units, read-only; computed once per edit.

        `strength` is not applied; only `render` does that.
        """
        return self.painter.ab(self.hints, self.global_hints)

    def render(self, size: tuple[int, int] | None = None, method: str = "bilinear") -> NDArray[np.uint8]:
        """The coloured photograph, uint8 sRGB [H, W, 3], at its own size or at `size` = (width, height).

        method: of `compose`.
        """
        L = self.photo.L if size is None else resize_lightness(self.photo.L, size)
        return self.painter.render(self.hints, self.global_hints, L, method, self.strength)

    def picture(self, method: str = "bilinear", depth: int = 8, transparent: bool = False) -> Picture:
        """The coloured photograph for a file, with 8 or 16 bits, and with its alpha. See `Painter.picture`."""
        return self.painter.picture(self.hints, self.global_hints, method, self.strength, depth, transparent)

    def suggest(self, x: float, y: float, count: int = DEFAULT_COUNT) -> Suggestions:
        """Likely colours at a point (x, y in 0…1), given the photograph and every hint on it but the one at the point.

        See `Painter.suggest`.
        """
        return self.painter.suggest(x, y, self.hints, self.global_hints, count)

    def lightness_at(self, x: float, y: float) -> float:
        """L of the photograph's pixel at (x, y in 0…1)."""
        return self.painter.lightness_at(x, y)

    def colour_at(self, x: float, y: float) -> tuple[float, float]:
        """The current ab at (x, y in 0…1), in the gamut at the L there."""
        return self.painter.colour_at(x, y, self.hints, self.global_hints)

    def next_touches(self, count: int = 1) -> tuple[Place, ...]:
        """The `count` places where a hint is expected to reduce the error most, the best first."""
        return self.painter.next_touches(self.hints, self.global_hints, count)

    def influence(self, index: int) -> NDArray[np.float32]:
        """How much of the colour at each place comes from hint `index`: float32 [64, 64] in 0…1."""
        return self.painter.influence(index, self.hints, self.global_hints)

    def outline(self, index: int) -> Region | None:
        """The region that the network thinks hint `index` belongs to; None where it has no influence."""
        return self.painter.outline(index, self.hints, self.global_hints)

    # Edits

    def add(self, x: float, y: float, a: float, b: float, size: int = DEFAULT_SIZE_PX, project: bool = True) -> int:
        """Place a hint at (x, y in 0…1) with colour ab; returns its index.

        A person's pick is projected into the gamut at the L under it; `project=False` keeps ab as it is.
        """
        hint = Hint(x, y, a, b, size)
        (hint,) = self.painter.projected([hint]) if project else (hint,)
        return self._append(hint)

    def add_stroke(self, lines: Sequence[Line], a: float, b: float, size: int = DEFAULT_SIZE_PX) -> int:
        """Paint colour ab along lines of points (x, y in 0…1); returns the index of the stroke, which is one hint.

        See `Stroke`. Raises HintRejected for impossible lines, and where the model has no room for them.
        """
        return self._append(Stroke(tuple(lines), a, b, size))

    def add_line(self, index: int, line: Line) -> None:
        """Give a hint another place: a line, or a point in a line of one. A point becomes a stroke of two places."""
        stroke = as_stroke(self._hint(index))
        self._replace(index, replace(stroke, lines=(*stroke.lines, line)))

    def set_inside(self, index: int, region: Region | None) -> None:
        """Keep a hint inside a region, or anywhere again with None. A point becomes a stroke of one point."""
        self._replace(index, replace(as_stroke(self._hint(index)), inside=region))

    def move(self, index: int, x: float, y: float) -> None:
        """Move a hint; its colour is projected into the gamut at its new place.

        A stroke moves as a whole, its first point to (x, y), as far as the photograph's edges let it.
        """
        hint = self._hint(index)
        if isinstance(hint, Stroke):
            self._replace(index, hint.moved(x, y))
        else:
            self._replace(index, *self.painter.projected([replace(hint, x=x, y=y)]))

    def recolour(self, index: int, a: float, b: float, project: bool = True) -> None:
        """Give a hint another colour. Colours of strokes are always projected."""
        hint = replace(self._hint(index), a=a, b=b)
        if project and isinstance(hint, Hint):
            (hint,) = self.painter.projected([hint])
        self._replace(index, hint)

    def resize(self, index: int, size: int) -> None:
        """Give a hint another size, 1…9 working pixels."""
        self._replace(index, replace(self._hint(index), size=size))

    def delete(self, index: int) -> None:
        """Remove a hint. The indices of later hints decrease by one."""
        self._hint(index)
        kept = tuple(hint for i, hint in enumerate(self.hints) if i != index)
        self._commit(replace(self._edits, hints=kept))

    def clear(self) -> None:
        """Remove all hints and global hints, and reset `strength`; one undo restores them. `vivid` stays."""
        self._commit(Edits(vivid=self.vivid))

    def set_vivid(self, vivid: float) -> None:
        """Multiply the automatic colours by `vivid`, in 0.5…2. Raises HintRejected; some models take only 1."""
        self._commit(replace(self._edits, vivid=vivid))

    def set_strength(self, strength: float) -> None:
        """Set the strength of colour: 0 is grey, 1 as it comes, 2 the most. Raises HintRejected for others."""
        self._commit(replace(self._edits, strength=strength))

    def set_global(self, global_hints: GlobalHints) -> None:
        """Set the hints for the picture as a whole: a histogram, a saturation, both or none."""
        self._commit(replace(self._edits, global_hints=global_hints))

    def set_hints(self, hints: Sequence[Mark], global_hints: GlobalHints | None = None) -> None:
        """Replace all hints in one edit, without projection. global_hints: None keeps the current ones."""
        kept = self.global_hints if global_hints is None else global_hints
        self._commit(replace(self._edits, hints=tuple(hints), global_hints=kept))

    def undo(self) -> bool:
        """Undo the last edit; False if there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Redo the edit that was undone last; False if there is none."""
        return self._step(self._future, self._past)

    # JSON

    def to_json(self) -> str:
        """All edits as JSON. Positions are relative, so it applies to any size of the photograph."""
        return edits_to_json(self._edits)

    def load_json(self, text: str) -> None:
        """Replace everything by what is in the text of `to_json`, in one edit. Numbers that it lacks are 1.

        Raises ConfigError for malformed text and HintRejected for impossible hints; nothing changes then.
        """
        self.set_edits(parse_edits(text))

    def set_edits(self, edits: Edits) -> None:
        """Replace everything in one edit, without projection. Raises HintRejected; nothing changes then."""
        self._commit(edits)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all."""
        atomic_write(path, self.to_json().encode())

    # Helpers

    def _append(self, hint: Mark) -> int:
        self._commit(replace(self._edits, hints=(*self.hints, hint)))
        return len(self.hints) - 1

    def _hint(self, index: int) -> Mark:
        if not 0 <= index < len(self.hints):
            raise HintRejected(f"there is no hint {index}; there are {len(self.hints)}, counted from 0")
        return self.hints[index]

    def _replace(self, index: int, changed: Mark) -> None:
        hints = tuple(changed if i == index else hint for i, hint in enumerate(self.hints))
        self._commit(replace(self._edits, hints=hints))

    def _commit(self, edits: Edits) -> None:
        self.painter.check(edits.hints, edits.global_hints)
        check_strength(edits.strength)
        self.painter.set_vivid(edits.vivid)
        self._past.append(self._edits)
        self._future.clear()
        self._edits = edits

    def _step(self, source: list[Edits], target: list[Edits]) -> bool:
        if not source:
            return False
        target.append(self._edits)
        self._edits = source.pop()
        self.painter.set_vivid(self._edits.vivid)
        return True
