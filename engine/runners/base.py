"""What every runner can do, whatever it runs on.

The public methods of `Runner` check what they are given: an open runner, features of its own, sizes, counts. The
methods with an underscore do the work and may rely on that; a new runner implements those alone.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, DistributionTable
from ..colour.global_hints import GlobalHints
from ..errors import HintRejected, ModelFileError, RunnerError
from ..hints import Hint
from ..image.compose import check_method, compose

NO_GLOBAL_HINTS = GlobalHints()
# Cells a side of `influence`: those of hint attention at the working size.
INFLUENCE_CELLS = 64
# A hint that changes ab by less than this everywhere (in CIELAB units) influences nothing.
MIN_CHANGE_AB = 1e-3


class Features:
    """What a runner made of one photograph; valid for that runner alone, as long as it is open.

    L: float32 [H, W] in 0…100, the working L, read-only.
    """

    def __init__(self, runner: Runner, L: NDArray[np.float32]) -> None:
        self._runner = weakref.ref(runner)
        self.L = np.array(L, np.float32)
        self.L.setflags(write=False)

    def made_by(self, runner: Runner) -> bool:
        """Whether `runner` is the one that encoded this photograph."""
        return self._runner() is runner


F = TypeVar("F", bound=Features)
R = TypeVar("R", bound="Runner")


class Runner(ABC, Generic[F]):
    """Encode a photograph once, then ask for colours and distributions as often as touches come.

    A runner is a context manager; `close` gives back what it holds, and every later call raises RunnerError.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._closed = False

    # What callers use

    def encode(self, L: NDArray[np.float32]) -> F:
        """Working L float32 [H, W] in 0…100, of the bundle's working size → features.

        Raises RunnerError for another size or for values that are no numbers.
        """
        self._check_open()
        size = tuple(self.bundle.manifest.input.working_size)
        if L.shape != size:
            raise RunnerError(f"L has shape {L.shape}; model {self.bundle.name} works at {size}")
        if not np.isfinite(L).all():
            raise RunnerError("L holds values that are no numbers; give CIELAB lightness in 0…100")
        return self._encode(np.asarray(L, np.float32))

    def colorize(
        self, features: F, hints: Sequence[Hint], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """ab float32 [2, H, W] in CIELAB units, of the working size; the caller owns it.

        Raises HintRejected for hints that the model does not take, RunnerError for features of another runner.
        """
        self._check(features, hints, global_hints)
        return self._colorize(features, hints, global_hints)

    def distribution(
        self, features: F, hints: Sequence[Hint], global_hints: GlobalHints, points: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Probabilities float32 [P, bins] at points [P, 2] (x, y in 0…1), tempered as the bundle says.

        Raises as `colorize` does, HintRejected for points outside the photograph, and ModelFileError for a model
        without a distribution.
        """
        self._check(features, hints, global_hints)
        distribution_table(self.bundle)
        points = np.asarray(points, np.float32)
        if points.ndim != 2 or points.shape[1] != 2:
            raise RunnerError(f"points have shape {points.shape}; expected [P, 2], x and y in 0…1")
        if not ((points >= 0) & (points <= 1)).all():
            raise HintRejected("a point lies outside the photograph; x and y run from 0 to 1")
        return self._distribution(features, hints, global_hints, points)

    def influence(
        self, features: F, hints: Sequence[Hint], index: int, global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """How much of the colour at each place comes from hint `index`: float32 [64, 64] in 0…1, rows from the top.

        In `touch` it is the hint's share in the attention; in other networks the change of ab that the hint makes,
        relative to its largest change. Raises as `colorize` does, and HintRejected where there is no such hint.
        """
        self._check(features, hints, global_hints)
        if not 0 <= index < len(hints):
            raise HintRejected(f"there is no hint {index}; there are {len(hints)}, counted from 0")
        return self._influence(features, hints, index, global_hints)

    def render(
        self,
        features: F,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str = "bilinear",
        ab: NDArray[np.float32] | None = None,
    ) -> NDArray[np.uint8]:
        """The coloured picture at the size of `L` (float32 [H, W] in 0…100, not changed between calls): sRGB uint8
        [H, W, 3], the caller's.

        method: one of `compose`. ab: what `colorize` gave for the same hints, if the caller has it; it saves a touch
        where the CPU composes. Raises as `colorize` does, and ConfigError for an unknown method.
        """
        self._check(features, hints, global_hints)
        check_method(method)
        return self._render(features, hints, global_hints, L, method, ab)

    def close(self) -> None:
        """Give back what is held. Calling it again does no harm."""
        if not self._closed:
            self._closed = True
            self._close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What a runner implements

    @abstractmethod
    def _encode(self, L: NDArray[np.float32]) -> F: ...

    @abstractmethod
    def _colorize(self, features: F, hints: Sequence[Hint], global_hints: GlobalHints) -> NDArray[np.float32]: ...

    @abstractmethod
    def _distribution(
        self, features: F, hints: Sequence[Hint], global_hints: GlobalHints, points: NDArray[np.float32]
    ) -> NDArray[np.float32]: ...

    @abstractmethod
    def _close(self) -> None: ...

    def _influence(
        self, features: F, hints: Sequence[Hint], index: int, global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        others = [hint for i, hint in enumerate(hints) if i != index]
        change = self._colorize(features, hints, global_hints) - self._colorize(features, others, global_hints)
        cells = (INFLUENCE_CELLS, INFLUENCE_CELLS)
        moved = cv2.resize(np.hypot(change[0], change[1]), cells, interpolation=cv2.INTER_AREA)
        largest = float(moved.max())
        return np.zeros(cells, np.float32) if largest < MIN_CHANGE_AB else (moved / largest).astype(np.float32)

    def _render(
        self,
        features: F,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str,
        ab: NDArray[np.float32] | None,
    ) -> NDArray[np.uint8]:
        return compose(L, self._colorize(features, hints, global_hints) if ab is None else ab, method=method)

    # Checks

    def _check_open(self) -> None:
        if self._closed:
            raise RunnerError("this runner is closed; make a new one")

    def _check(self, features: F, hints: Sequence[Hint], global_hints: GlobalHints) -> None:
        self._check_open()
        if not features.made_by(self):
            raise RunnerError("these features are another runner's; encode the photograph with this one")
        check_hints(self.bundle, hints, global_hints)


def distribution_table(bundle: Bundle) -> DistributionTable:
    """What a bundle says of its distribution. Raises ModelFileError for models that suggest no colours."""
    table = bundle.manifest.distribution
    if table is None:
        raise ModelFileError(f"model {bundle.name} suggests no colours; use touch")
    return table


def check_hints(bundle: Bundle, hints: Sequence[Hint], global_hints: GlobalHints) -> None:
    """Raise HintRejected for what a bundle cannot take: too many hints, or a kind of hint it does not know."""
    manifest = bundle.manifest
    most = manifest.input.max_hints
    if most and len(hints) > most:
        raise HintRejected(f"model {bundle.name} takes at most {most} hints and got {len(hints)}; remove some")
    if hints and not manifest.input.local:
        raise HintRejected(f"model {bundle.name} takes no hints at points; use touch or siggraph17")
    if global_hints and not manifest.input.takes_global:
        raise HintRejected(f"model {bundle.name} takes no histogram or saturation; use touch or siggraph17-global")
