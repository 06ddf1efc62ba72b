"""How colourful the pictures are beside the truth: mean chroma in CIELAB, on the points of the curve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.colour.cielab import srgb_to_lab
from ...engine.runners.base import Runner
from ..measure import Result
from ..options import Option
from .curve import draw_hints, possible_counts
from .per_photo import Tally, mean
from .protocols import Picture
from .run import Accuracy, AccuracyMeasure, Plan, Run

TRUTH = ("truth",)
TEXT = "mean chroma of all pictures, clipped into sRGB, divided by that of the photographs; one draw of the points"


def measure_chroma(
    runner: Runner, photographs: Iterable[Picture], plan: Plan, tick: Callable[[], object] = lambda: None
) -> Tally:
    """Mean chroma of every photograph, and of its picture with every number of points of the plan."""
    tally = Tally()
    possible = possible_counts(runner, plan, Accuracy(plan))
    for index, picture in enumerate(photographs):
        tally.add(TRUTH, index, _chroma(picture.rgb / 255))
        features = runner.with_vivid(runner.encode(picture.L), plan.vivid)
        for count in possible:
            ab = runner.colorize(features, draw_hints(plan, picture, index, count, 0))
            tally.add((str(count),), index, _chroma(plan.protocol.rgb(picture, ab)))
        tick()
    return tally


def _chroma(srgb: NDArray[np.floating]) -> float:
    lab = srgb_to_lab(srgb)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def as_table(tally: Tally, vivid: float) -> dict[str, Any]:
    """points → mean chroma, and its ratio to that of the truth."""
    true = tally.per_photo(TRUTH)
    columns = {
        key[0]: {"mean": mean(values), "ratio": round(float(values.mean() / true.mean()), 4)}
        for key in tally.names
        if key != TRUTH
        for values in [tally.per_photo(key)]
    }
    return {"text": TEXT, "vivid": vivid, "truth": mean(true), "photos": len(true), "points": columns}


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    cells = [f"{count}: {row['mean']:.2f} ({row['ratio']:.2f} of it)" for count, row in table["points"].items()]
    return f"mean chroma of {table['photos']} photographs {table['truth']:.2f}; coloured, by points: " + ", ".join(
        cells
    )


class Chroma(AccuracyMeasure):
    """The chroma of the pictures beside that of the photographs."""

    key = "chroma"
    options = (Option("--chroma", "Also the chroma of the pictures beside that of the photographs."),)

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("chroma", run.plan.protocol)
        return {self.key: as_table(measure_chroma(run.runner, photographs, run.plan, tick), run.plan.vivid)}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def notes(part: Result) -> list[str]:
        return [f"chroma: {part['text']}"]
