"""Contact sheets: photographs in grey, automatic, after one touch, after five, and as they were.

They are for looking, which no figure replaces. The touches are those that the engine itself would ask for next, each
revealed from the truth.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...calibration.photographs import photograph_files
from ...engine.errors import ConfigError
from ...engine.hints import WORKING_PX, Hint
from ...engine.next_touch import next_touches
from ...engine.runners.base import Features, Runner
from ..progress import Progress, Steps, no_progress
from .next_touch import touches
from .protocols import Picture, Zhang17

TOUCHES = (0, 1, 5)
GAP_PX = 6
RING_PX = 7


def sheet(
    runner: Runner, photos: Path, limit: int, every: int = 1, progress: Progress = no_progress
) -> NDArray[np.uint8]:
    """A sheet uint8 [H, W, 3] of every `every`-th photograph of a folder or tar file, `limit` at most.

    Raises ConfigError for a set without photographs.
    """
    tick = Steps(progress, "colouring", limit)
    rows = []
    for _, data in islice(photograph_files(photos), 0, limit * every, every):
        rows.append(row(runner, Zhang17().picture(data, WORKING_PX)))
        tick()
    if not rows:
        raise ConfigError(f"{photos} holds no photographs; give a folder or a tar file that does")
    return with_gaps(rows, 0)


def row(runner: Runner, picture: Picture) -> NDArray[np.uint8]:
    """One photograph as a row uint8 [256, W, 3]: grey, with each number of touches in TOUCHES, and the truth."""
    protocol = Zhang17()
    features = runner.encode(picture.L)
    hints = chosen_touches(runner, features, picture, max(TOUCHES))
    grey = np.zeros((2, WORKING_PX, WORKING_PX), np.float32)
    tiles = [_shown(protocol, picture, grey)]
    for count in TOUCHES:
        tile = _shown(protocol, picture, runner.colorize(features, hints[:count]))
        tiles.append(_with_rings(tile, hints[:count]))
    tiles.append(picture.rgb)
    return with_gaps(tiles, 1)


def with_gaps(pictures: list[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Pictures uint8 [H, W, 3], below one another (axis 0) or side by side (axis 1), with GAP_PX of white between."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP_PX
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis)


def chosen_touches(runner: Runner, features: Features, picture: Picture, count: int) -> list[Hint]:
    """`count` true hints, each at the place that the engine suggests after those before it."""
    hints: list[Hint] = []
    for _ in range(count):
        hints += touches(picture, next_touches(runner, features, picture.L, hints))
    return hints


def _shown(protocol: Zhang17, picture: Picture, ab: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(protocol.rgb(picture, ab) * 255).astype(np.uint8)


def _with_rings(tile: NDArray[np.uint8], hints: list[Hint]) -> NDArray[np.uint8]:
    tile = tile.copy()
    for hint in hints:
        centre = int(hint.x * WORKING_PX), int(hint.y * WORKING_PX)
        cv2.circle(tile, centre, RING_PX, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.circle(tile, centre, RING_PX, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
