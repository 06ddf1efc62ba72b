"""Contact sheets: a photograph in grey, automatic, after one touch, after five, and as it was.

`python -m livetint.bench.accuracy.sheets PHOTOS -o SHEET.jpg` is for looking, which no figure replaces.
The touches are those that the engine itself would ask for next, each revealed from the truth.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from ...calibration.photographs import photograph_files
from ...cli.terminal import run
from ...engine.hints import WORKING_PX, Hint
from ...engine.image.encode import check_output, save_rgb
from ...engine.models import DEFAULT_MODEL, find_model
from ...engine.next_touch import next_touches
from ...engine.runners.base import Features, Runner
from ...engine.runners.onnx import OnnxRunner
from .next_touch import touches
from .protocols import Picture, Zhang17

TOUCHES = (0, 1, 5)
GAP_PX = 6
RING_PX = 7


def row(runner: Runner, picture: Picture) -> NDArray[np.uint8]:
    """One photograph as a row uint8 [256, W, 3]: grey, then with every number of TOUCHES, then the truth."""
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
    """Pictures uint8 [H, W, 3] with GAP_PX of white between them: below one another (axis 0) or side by side (1)."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP_PX
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis)


def chosen_touches(runner: Runner, features: Features, picture: Picture, count: int) -> list[Hint]:
    """`count` true hints, each where the engine, knowing those before it, would ask for the next."""
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


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The sheet to write.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of a bundle.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Photographs at most.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take every n-th photograph.")
def main(photos: Path, output: Path, model: str, limit: int, every: int) -> None:
    """Write a contact sheet of PHOTOS, a folder or tar file of colour photographs."""
    check_output(output)
    with OnnxRunner(find_model(model)) as runner:
        files = islice(photograph_files(photos), 0, limit * every, every)
        rows = [row(runner, Zhang17().picture(data, WORKING_PX)) for _, data in files]
    save_rgb(output, with_gaps(rows, 0))


if __name__ == "__main__":
    run(main, "python -m livetint.bench.accuracy.sheets")
