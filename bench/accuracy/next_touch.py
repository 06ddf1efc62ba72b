"""Where to touch next: are places that the network chooses better than random ones?

The true colour is revealed at every place. `chosen`: the network names a place, it is touched, the network names the
next, and so on. `at once`: the network names all places before the first touch. `random`: as many random places, mean
of several draws. Each sequence adds touches to those before, as a visitor does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ...calibration.visitor import Patches, reveal, uniform_patches
from ...engine.hints import DEFAULT_SIZE_PX, WORKING_PX, Hint
from ...engine.next_touch import Place, next_touches
from ...engine.runners.base import Features, Runner
from ..cells import decibels
from ..measure import Result, Rows
from ..options import Option
from .per_photo import Tally, mean, standard_error
from .protocols import PROTOCOLS, Picture, Protocol
from .run import AccuracyMeasure, Run

SEED = 77
TOUCHES = (1, 3, 5, 10)
DRAWS = 4
CHOSEN, AT_ONCE, RANDOM, NONE = "chosen", "at once", "random", "no touch"


def measure_next_touch(
    runner: Runner,
    photographs: Iterable[Picture],
    protocol: Protocol,
    tick: Callable[[], object] = lambda: None,
) -> Tally:
    """PSNR in dB after 1, 3, 5 and 10 touches, for every photograph (protocol zhang17's pictures).

    Keys are (way, touches). Raises ModelFileError for models without a distribution.
    """
    tally = Tally()
    for index, picture in enumerate(photographs):
        features = runner.encode(picture.L)
        for way, hints in _sequences(runner, features, picture, index):
            value = protocol.psnr(picture, runner.colorize(features, hints))
            tally.add((way, str(len(hints))), index, value)
        tick()
    return tally


def _sequences(
    runner: Runner, features: Features, picture: Picture, index: int
) -> Iterator[tuple[str, Sequence[Hint]]]:
    """Every way of choosing places, with its touches for every number in TOUCHES."""
    yield NONE, ()
    chosen: list[Hint] = []
    for count in range(1, max(TOUCHES) + 1):
        chosen += touches(picture, next_touches(runner, features, picture.L, chosen))
        if count in TOUCHES:
            yield CHOSEN, tuple(chosen)
    named = touches(picture, next_touches(runner, features, picture.L, count=max(TOUCHES)))
    yield from ((AT_ONCE, named[:count]) for count in TOUCHES)
    for draw in range(DRAWS):
        rng = np.random.default_rng([SEED, index, draw])
        random = reveal(picture.ab, uniform_patches(rng, max(TOUCHES), DEFAULT_SIZE_PX))
        yield from ((RANDOM, random[:count]) for count in TOUCHES)


def touches(picture: Picture, places: Iterable[Place]) -> list[Hint]:
    """Hints of the default size at places, each with the mean of the true colour under its patch."""
    centres = np.array([(place.y, place.x) for place in places]) * WORKING_PX
    corners = np.clip(np.floor(centres - DEFAULT_SIZE_PX / 2 + 0.5), 0, WORKING_PX - DEFAULT_SIZE_PX)
    return reveal(picture.ab, Patches(corners[:, 0], corners[:, 1], np.full(len(corners), DEFAULT_SIZE_PX)))


TEXT = (
    "PSNR in dB after touches of the true colour: at places that `suggest --where` names one after the other "
    "(chosen), names before the first touch (at once), and at uniformly random places (random, mean of "
    f"{DRAWS} draws); gain: over random"
)


def as_table(tally: Tally) -> dict[str, Any]:
    """way → touches → mean, standard error over photographs, n; and gain over random, per photograph."""
    table: dict[str, Any] = {"text": TEXT, "draws": DRAWS, "seed": SEED}
    for way, count in tally.names:
        values = tally.per_photo((way, count))
        row = {"mean": mean(values), "standard_error": standard_error(values), "n": len(values)}
        if way in (CHOSEN, AT_ONCE):
            gain = values - tally.per_photo((RANDOM, count))
            row |= {"gain": mean(gain), "gain_standard_error": standard_error(gain)}
        table.setdefault(way, {})[count] = row
    return table


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    lines = ["where to touch next: PSNR in dB after touches of the true colour (gain over random places)"]
    for way in (NONE, RANDOM, AT_ONCE, CHOSEN):
        cells = [f"{count}: {_cell(row)}" for count, row in table[way].items()]
        lines.append(f"{way:<10} " + ", ".join(cells))
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    if "gain" not in row:
        return f"{row['mean']:.2f}"
    error = "" if row["gain_standard_error"] is None else f" ± {row['gain_standard_error']:.2f}"
    return f"{row['mean']:.2f} ({row['gain']:+.2f}{error})"


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report: what touches gain over as many at random places."""
    ways = {way: table[way] for way in (CHOSEN, AT_ONCE)}
    columns = list(dict.fromkeys(count for row in ways.values() for count in row))
    head = ["gain over random places, dB", *(f"{n} touches" if n != "1" else "1 touch" for n in columns)]
    return [
        head,
        *(
            [name, *(decibels(row[n]["gain"], row[n]["gain_standard_error"]) for n in columns)]
            for name, row in ways.items()
        ),
    ]


class NextTouch(AccuracyMeasure):
    """Touches at the places that the network names, against touches at random places."""

    key = "where"
    options = (Option("--where", "Also touch the places that the network names, and as many random ones."),)

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("choosing places")
        return {self.key: as_table(measure_next_touch(run.runner, photographs, PROTOCOLS["zhang17"], tick))}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
