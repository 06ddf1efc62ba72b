"""The base class of runners.

The public methods of `Runner` check their arguments: an open runner, features of its own, sizes, counts. The methods
with an underscore do the work and rely on these checks. A new runner implements only those.
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
from ..image.compose import apply_strength, check_method, check_strength, compose

NO_GLOBAL_HINTS = GlobalHints()
# Factors of the automatic colours (`vivid`); 1 is as trained.
MIN_VIVID, MAX_VIVID = 0.5, 2.0
# The encoder's maps that give the automatic colours. Both are linear in ab, so `vivid` multiplies them.
AUTOMATIC_MAPS = ("base", "mood")
# The output of an encoder that is its last tensor, before the heads, for who computes the heads elsewhere. No stage
# reads it, so plans leave it out.
FEATURES = "features"
# Cells a side of `influence`: those of hint attention at the working size.
INFLUENCE_CELLS = 64
# A hint that changes ab by less than this everywhere (in CIELAB units) has no influence.
MIN_CHANGE_AB = 1e-3


class Features:
    """One photograph encoded by a runner. Only that runner can use it, as long as it is open.

    L: float32 [H, W] in 0…100, the working L, read-only. vivid: the factor of its automatic colours.
    """

    def __init__(self, runner: Runner, L: NDArray[np.float32], vivid: float = 1.0) -> None:
        self._runner = weakref.ref(runner)
        self.vivid = vivid
        self.L = np.array(L, np.float32)
        self.L.setflags(write=False)

    def made_by(self, runner: Runner) -> bool:
        """Whether `runner` is the one that encoded this photograph."""
        return self._runner() is runner


F = TypeVar("F", bound=Features)
R = TypeVar("R", bound="Runner")


class Runner(ABC, Generic[F]):
    """Runs a model: encodes a photograph once, then answers any number of touches with colours and distributions.

    A runner is a context manager. `close` releases its resources; every later call raises RunnerError.
    runs_on: "CPU" or "GPU", for people.
    """

    runs_on: str

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._closed = False

    # Public methods: they check

    def encode(self, L: NDArray[np.float32], vivid: float = 1.0) -> F:
        """Working L float32 [H, W] in 0…100, of the bundle's working size → features.

        vivid: factor of the automatic colours, of `with_vivid`. Raises RunnerError for another size, for NaN and for
        infinity, and HintRejected as `check_vivid` does.
        """
        self._check_open()
        size = tuple(self.bundle.manifest.input.working_size)
        if L.shape != size:
            raise RunnerError(f"L has shape {L.shape}; model {self.bundle.name} works at {size}")
        if not np.isfinite(L).all():
            raise RunnerError("L contains NaN or infinity; give CIELAB lightness in 0…100")
        check_vivid(self.bundle, vivid)
        return self._encode(np.asarray(L, np.float32), vivid)

    def with_vivid(self, features: F, vivid: float) -> F:
        """The same photograph with another factor of the automatic colours; `features` stay as they are.

        The colours are multiplied before the hints' differences from them are taken, so hints keep their exact colours.
        The distribution without hints stays the same. Raises HintRejected as `check_vivid` does, and RunnerError for
        features of another runner.
        """
        self._check_owner(features)
        check_vivid(self.bundle, vivid)
        return features if vivid == features.vivid else self._with_vivid(features, vivid)

    def colorize(
        self, features: F, hints: Sequence[Hint], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """ab float32 [2, H, W] in CIELAB units, at the working size; the caller owns the array.

        Raises HintRejected for hints that the model does not take, RunnerError for features of another runner.
        """
        self._check(features, hints, global_hints)
        return self._colorize(features, hints, global_hints)

    def distribution(
        self, features: F, hints: Sequence[Hint], global_hints: GlobalHints, points: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Probabilities float32 [P, bins] at points [P, 2] (x, y in 0…1), with the temperature of the bundle.

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
        self, features: F, hints: Sequence[Hint], indices: Sequence[int], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """How much of the colour at each place comes from some hints: float32 [64, 64] in 0…1, rows from the top.

        In `touch` it is the hints' share of the attention. In other networks it is the change of ab by the hints,
        divided by the largest change. Raises as `colorize` does, and HintRejected where there is no such hint.
        """
        self._check(features, hints, global_hints)
        for index in indices:
            if not 0 <= index < len(hints):
                raise HintRejected(f"there is no hint {index}; there are {len(hints)}, counted from 0")
        return self._influence(features, hints, indices, global_hints)

    def feature_maps(self, features: F) -> dict[str, NDArray[np.float32]]:
        """The encoder's outputs for a photograph, by name, as float32; for measuring. Do not change the arrays.

        The maps of the automatic colours are multiplied by the features' `vivid`.

        Empty for models without an encoder. Raises RunnerError for features of another runner.
        """
        self._check_owner(features)
        return self._feature_maps(features)

    @property
    def gives_encoder_features(self) -> bool:
        """Whether `encoder_features` gives any; a plan leaves them out."""
        return False

    def encoder_features(self, features: F) -> NDArray[np.float32] | None:
        """The encoder's last tensor, before the heads, float32 [96, 64, 64], for who computes the heads elsewhere.

        None unless `gives_encoder_features`. Do not change the array. Raises RunnerError for features of another
        runner.
        """
        self._check_owner(features)
        return self._encoder_features(features)

    def render(
        self,
        features: F,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str = "bilinear",
        ab: NDArray[np.float32] | None = None,
        strength: float = 1.0,
    ) -> NDArray[np.uint8]:
        """The coloured picture, sRGB uint8 [H, W, 3], at the size of `L`; the caller owns the array.

        L: float32 [H, W] in 0…100; the same array must not be changed between calls. method: of `compose`. ab: the
        result of `colorize` for the same hints, if the caller has it; it saves a touch where the CPU composes.
        strength: factor of ab, of `apply_strength`. Raises as `colorize` does, ConfigError for an unknown method, and
        HintRejected for an impossible strength.
        """
        self._check(features, hints, global_hints)
        check_method(method)
        check_strength(strength)
        return self._render(features, hints, global_hints, L, method, ab, strength)

    def close(self) -> None:
        """Release all resources. Further calls do nothing."""
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

    # Methods of each runner: they work

    @abstractmethod
    def _encode(self, L: NDArray[np.float32], vivid: float) -> F: ...

    @abstractmethod
    def _colorize(self, features: F, hints: Sequence[Hint], global_hints: GlobalHints) -> NDArray[np.float32]: ...

    @abstractmethod
    def _distribution(
        self, features: F, hints: Sequence[Hint], global_hints: GlobalHints, points: NDArray[np.float32]
    ) -> NDArray[np.float32]: ...

    @abstractmethod
    def _close(self) -> None: ...

    def _with_vivid(self, features: F, vivid: float) -> F:
        raise NotImplementedError(f"{type(self).__name__} runs models with automatic colours apart from hints")

    def _feature_maps(self, features: F) -> dict[str, NDArray[np.float32]]:
        return {}

    def _encoder_features(self, features: F) -> NDArray[np.float32] | None:
        return None

    def _influence(
        self, features: F, hints: Sequence[Hint], indices: Sequence[int], global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        others = [hint for i, hint in enumerate(hints) if i not in indices]
        change = self._colorize(features, hints, global_hints) - self._colorize(features, others, global_hints)
        cells = (INFLUENCE_CELLS, INFLUENCE_CELLS)
        change_by_cell = cv2.resize(np.hypot(change[0], change[1]), cells, interpolation=cv2.INTER_AREA)
        largest = float(change_by_cell.max())
        return np.zeros(cells, np.float32) if largest < MIN_CHANGE_AB else (change_by_cell / largest).astype(np.float32)

    def _render(
        self,
        features: F,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str,
        ab: NDArray[np.float32] | None,
        strength: float,
    ) -> NDArray[np.uint8]:
        ab = self._colorize(features, hints, global_hints) if ab is None else ab
        return compose(L, apply_strength(ab, strength), method=method)

    # Checks

    def _check_open(self) -> None:
        if self._closed:
            raise RunnerError("this runner is closed; make a new one")

    def _check_owner(self, features: F) -> None:
        self._check_open()
        if not features.made_by(self):
            raise RunnerError("these features are another runner's; encode the photograph with this one")

    def _check(self, features: F, hints: Sequence[Hint], global_hints: GlobalHints) -> None:
        self._check_owner(features)
        check_hints(self.bundle, hints, global_hints)


def distribution_table(bundle: Bundle) -> DistributionTable:
    """The distribution table of a bundle. Raises ModelFileError for models without a distribution."""
    table = bundle.manifest.distribution
    if table is None:
        raise ModelFileError(f"model {bundle.name} suggests no colours; use touch")
    return table


def takes_vivid(bundle: Bundle) -> bool:
    """Whether a model's automatic colours can be multiplied: whether it keeps them apart from the hints' colours."""
    return bool(bundle.manifest.touch_form)


def check_vivid(bundle: Bundle, vivid: float) -> None:
    """Raise HintRejected for a `vivid` outside 0.5…2, and for any but 1 where the model does not take it."""
    if not MIN_VIVID <= vivid <= MAX_VIVID:
        raise HintRejected(f"vivid {vivid:.4g} is not possible; it runs from {MIN_VIVID:g} to {MAX_VIVID:g}")
    if vivid != 1 and not takes_vivid(bundle):
        raise HintRejected(
            f"model {bundle.name} does not keep automatic colours apart from hints, so vivid must be 1; use touch"
        )


def check_hints(bundle: Bundle, hints: Sequence[Hint], global_hints: GlobalHints) -> None:
    """Raise HintRejected for hints that a bundle does not take: too many, or of an unknown kind."""
    manifest = bundle.manifest
    max_hints = manifest.input.max_hints
    if max_hints and len(hints) > max_hints:
        raise HintRejected(f"model {bundle.name} takes at most {max_hints} hints and got {len(hints)}; remove some")
    if hints and not manifest.input.local:
        raise HintRejected(f"model {bundle.name} takes no hints at points; use touch or siggraph17")
    if global_hints and not manifest.input.takes_global:
        raise HintRejected(f"model {bundle.name} takes no histogram or saturation; use touch or siggraph17-global")
