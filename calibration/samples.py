"""Samples for calibration: photographs with the hints of simulated visitors, as inputs of a bundle's first stage.

A third of the visitors gives no hints, a third few (1 to 8) and a third many (9 to 128): with too few hints the range
of the hint channels would be almost empty. Global hints are given to some visitors and not to others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine.bundle import Bundle
from ..engine.colour.global_hints import histogram_of, saturation_of
from ..engine.hints import WORKING_PX, Hint
from ..engine.inputs import normalise_lightness, planes_input
from ..engine.runners.base import NO_GLOBAL_HINTS
from ..engine.runners.restorer import Restore, load_restorer
from ..engine.runners.sessions import default_threads
from .photographs import lab_of, photograph_files, squashed
from .visitor import gaussian_patches, global_hints, reveal

FEW, MANY = (1, 8), (9, 128)
# Samples of a calibration on the bundled photographs: three of each.
EXAMPLE_SAMPLES = 24


def squares(sources: Sequence[str | Path] | str | Path, side: int = WORKING_PX) -> Iterator[NDArray[np.uint8]]:
    """Every photograph as uint8 RGB [side, side, 3], one at a time."""
    for _, data in photograph_files(sources):
        yield squashed(data, side)


def visitor_hints(rng: np.random.Generator, ab: NDArray[np.float32], index: int) -> list[Hint]:
    """Hints of visitor number `index` on the true ab [2, H, W]: none, few and many in turn."""
    low, high = ((0, 0), FEW, MANY)[index % 3]
    return reveal(ab, gaussian_patches(rng, int(rng.integers(low, high + 1))))


def stage_inputs(
    bundle: Bundle, restore: Restore, rgb: NDArray[np.uint8], rng: np.random.Generator, index: int
) -> dict[str, NDArray[np.float32]]:
    """One photograph, uint8 RGB of the working size, as named inputs of the first stage.

    They are `light`, or `planes` and `global`. restore: the bundle's, of `load_restorer`.
    """
    settings = bundle.manifest.input
    lab = lab_of(rgb)
    L_plane = normalise_lightness(restore(lab[..., 0])[None, None], settings)
    if settings.kind == "hints":
        return {"light": L_plane}
    ab = np.ascontiguousarray(lab[..., 1:].transpose(2, 0, 1))
    hints = visitor_hints(rng, ab, index) if settings.local else []
    revealed = NO_GLOBAL_HINTS
    if settings.takes_global:
        revealed = global_hints(rng, histogram_of(ab), saturation_of(rgb.astype(np.float32) / 255))
    return planes_input(L_plane, hints, revealed, settings)


def feeds(
    bundle: Bundle, sources: Sequence[str | Path] | str | Path, samples: int, skip: int = 0, seed: int = 0
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """`samples` named inputs. The first `skip` photographs are left out; they are held out for comparisons.

    A smaller set is repeated with other visitors, mirrored every second time.
    """
    rng, restore = np.random.default_rng(seed), load_restorer(bundle, default_threads())
    made = round_ = 0
    while made < samples:
        before = made
        for index, rgb in enumerate(squares(sources, bundle.manifest.input.working_size[0])):
            if made == samples:
                return
            if index < skip:
                continue
            rgb = np.ascontiguousarray(rgb[:, ::-1]) if round_ % 2 else rgb
            yield stage_inputs(bundle, restore, rgb, rng, made)
            made += 1
        round_ += 1
        if made == before:
            return
