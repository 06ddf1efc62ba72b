"""What every runner can do, whatever it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, DistributionTable
from ..colour.global_hints import GlobalHints
from ..errors import HintRejected, ModelFileError
from ..hints import Hint

NO_GLOBAL_HINTS = GlobalHints()
# What a runner's `encode` returns: its own business, valid for that runner alone.
Features = Any


class Runner(Protocol):
    """Encode a photograph once, then ask for colours and distributions as often as touches come."""

    bundle: Bundle

    def encode(self, L: NDArray[np.float32]) -> Features:
        """Working L float32 [256, 256] in 0…100 → features."""
        ...

    def colorize(
        self, features: Features, hints: Sequence[Hint], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """ab float32 [2, 256, 256] in CIELAB units; the caller owns it."""
        ...

    def distribution(
        self,
        features: Features,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        points: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Probabilities float32 [P, bins] at points [P, 2] (x, y in 0…1), tempered as the bundle says."""
        ...

    def close(self) -> None:
        """Give back what is held; using the runner afterwards raises RunnerError."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
