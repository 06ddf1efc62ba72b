"""What a visitor's taps do to the picture: random taps, each of which takes its first colour.

After 1, 3 and 5 taps the picture is compared with the automatic one at the same `vivid`. `first`: the colour that
`engine.first_colour` chooses. `likeliest`: for comparison, the likeliest suggestion at least LIKELIEST_AB away from the
colour shown. Places are uniformly random, and every tap sees the picture that those before have made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...engine.colour.cielab import project_into_gamut
from ...engine.first_colour import first_colour
from ...engine.hints import DEFAULT_SIZE_PX, Hint, patch_bounds, pixel_at
from ...engine.runners.base import NO_GLOBAL_HINTS, Features, Runner, distribution_table, takes_vivid
from ...engine.suggest import Swatch, suggest
from ..measure import Result, Rows
from ..options import Option
from .per_photo import Tally, mean, standard_error
from .protocols import PROTOCOLS, Picture, Protocol
from .run import AccuracyMeasure, Run

SEED = 21
TAPS = (1, 3, 5)
DRAWS = 4
# As trained, and the kiosk's default.
VIVIDS = (1.0, 1.35)
FIRST, LIKELIEST = "first", "likeliest"
LIKELIEST_AB = 14.0
# As many suggestions as the kiosk shows.
SWATCHES = 5
# A tap is seen where the ab of its point moves by at least SEEN_AB. The chroma of its patch is lower where it falls by
# more than LOWER_AB; less than that nobody sees.
SEEN_AB, LOWER_AB = 6.0, 0.5


class Place(NamedTuple):
    """What a tap is given: the pictures that it sees, its point (x, y in 0…1), L there, and the suggestions."""

    L_plane: NDArray[np.float32]
    ab: NDArray[np.float32]
    automatic: NDArray[np.float32]
    point: tuple[float, float]
    L: float
    swatches: tuple[Swatch, ...]


def _first(place: Place) -> tuple[float, float]:
    likeliest = place.swatches[0].a, place.swatches[0].b
    return first_colour(place.L_plane, place.ab, place.automatic, place.point, place.L, likeliest)


def _likeliest(place: Place) -> tuple[float, float]:
    row, column = pixel_at(*place.point, *place.L_plane.shape)
    a, b = _gamut(place.L, place.ab[:, row, column])
    far = (s for s in place.swatches if np.hypot(s.a - a, s.b - b) > LIKELIEST_AB)
    chosen = next(far, place.swatches[0])
    return chosen.a, chosen.b


RULES: dict[str, Callable[[Place], tuple[float, float]]] = {FIRST: _first, LIKELIEST: _likeliest}


def measure_taps(
    runner: Runner, photographs: Iterable[Picture], protocol: Protocol, tick: Callable[[], object] = lambda: None
) -> Tally:
    """Change of PSNR in dB, and whether every tap is seen and lowers the chroma, for every photograph.

    Keys are (vivid, rule, measure, taps). Raises ModelFileError for models without a distribution.
    """
    tally = Tally()
    vivids = VIVIDS if takes_vivid(runner.bundle) else VIVIDS[:1]
    for index, picture in enumerate(photographs):
        features = runner.encode(picture.L)
        for vivid in vivids:
            multiplied = features if vivid == 1 else runner.with_vivid(features, vivid)
            for rule in RULES:
                for draw in range(DRAWS):
                    rng = np.random.default_rng([SEED, index, draw])
                    _tap(runner, (multiplied, vivid), picture, (rule, rng, protocol), tally, index)
        tick()
    return tally


def _tap(
    runner: Runner,
    seen: tuple[Features, float],
    picture: Picture,
    how: tuple[str, np.random.Generator, Protocol],
    tally: Tally,
    index: int,
) -> None:
    """One sequence of taps on one photograph. seen: features and their `vivid`. how: rule, places and score."""
    (features, vivid), (rule, rng, protocol) = seen, how
    ab = runner.colorize(features, ())
    automatic = (ab / vivid).astype(np.float32)
    before_db = protocol.psnr(picture, ab)
    hints: list[Hint] = []
    for count in range(1, max(TAPS) + 1):
        place = _place(runner, features, picture, hints, (ab, automatic), rng)
        a, b = _gamut(place.L, RULES[rule](place))
        hints.append(Hint(*place.point, float(a), float(b)))
        after = runner.colorize(features, hints)
        for name, value in _judge(picture.L, ab, after, place.point).items():
            tally.add((f"{vivid:g}", rule, name, ""), index, value)
        ab = after
        if count in TAPS:
            change = protocol.psnr(picture, ab) - before_db
            tally.add((f"{vivid:g}", rule, "change", str(count)), index, change)
            tally.add((f"{vivid:g}", rule, "worse", str(count)), index, float(change < 0))


def _place(
    runner: Runner,
    features: Features,
    picture: Picture,
    hints: list[Hint],
    pictures: tuple[NDArray[np.float32], NDArray[np.float32]],
    rng: np.random.Generator,
) -> Place:
    """A random place. pictures: ab as shown, and the automatic ab at `vivid` 1."""
    x, y = (float(v) for v in rng.uniform(size=2))
    row, column = pixel_at(x, y, *picture.L.shape)
    L = float(picture.L[row, column])
    table = distribution_table(runner.bundle)
    probabilities = runner.distribution(features, hints, NO_GLOBAL_HINTS, np.array([[x, y]], np.float32))[0]
    swatches = suggest(probabilities, table.centres, L, (0.0, 0.0), SWATCHES).swatches
    return Place(picture.L, *pictures, (x, y), L, swatches)


def _gamut(L: float, ab: tuple[float, float] | NDArray[np.floating]) -> NDArray[np.float64]:
    """ab [2] in the sRGB gamut at L."""
    return np.asarray(project_into_gamut(np.array([L, *ab], np.float64))[1:], np.float64)


def _judge(
    L_plane: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    point: tuple[float, float],
) -> dict[str, float]:
    """seen: whether the ab at the point moved by SEEN_AB. lower: whether the chroma of the patch fell as it is seen,
    in the gamut."""
    top, bottom, left, right = patch_bounds(*point, DEFAULT_SIZE_PX, *L_plane.shape)
    patches = [np.stack([L_plane, *ab], -1)[top:bottom, left:right].astype(np.float64) for ab in (before, after)]
    row, column = pixel_at(*point, *L_plane.shape)
    moved = float(np.hypot(*(after - before)[:, row, column]))
    chroma = [float(np.hypot(*project_into_gamut(patch)[..., 1:].T).mean()) for patch in patches]
    return {"seen": float(moved >= SEEN_AB), "lower": float(chroma[1] < chroma[0] - LOWER_AB)}


TEXT = (
    "change of PSNR in dB against the automatic picture at the same vivid, after taps at uniformly random places "
    f"(mean of {DRAWS} draws); worse: share of the draws in which it falls; seen: share of the taps whose point moves "
    f"by {SEEN_AB:g} in ab; lower: share whose patch loses more than {LOWER_AB:g} of its chroma in the gamut. first: "
    f"the first colour of a tap; likeliest: the likeliest suggestion more than {LIKELIEST_AB:g} from the colour shown"
)


def as_table(tally: Tally) -> dict[str, Any]:
    """vivid → rule → taps → change (mean, standard error over photographs, n) and worse; seen and lower of all taps."""
    table: dict[str, Any] = {"text": TEXT, "draws": DRAWS, "seed": SEED, "vivid": {}}
    for vivid, rule, name, count in tally.names:
        values = tally.per_photo((vivid, rule, name, count))
        rows = table["vivid"].setdefault(vivid, {}).setdefault(rule, {"taps": {}})
        if not count:
            rows[name] = mean(values)
            continue
        row = rows["taps"].setdefault(count, {})
        if name == "change":
            row |= {"mean": mean(values), "standard_error": standard_error(values), "n": len(values)}
        else:
            row[name] = mean(values)
    return table


def _rows(table: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    return ((vivid, rule, row) for vivid, rules in table["vivid"].items() for rule, row in rules.items())


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    lines = ["taps with their first colour: change in dB against the automatic picture (share of draws that get worse)"]
    for vivid, rule, row in _rows(table):
        cells = ", ".join(f"{n}: {cell['mean']:+.2f} ({cell['worse']:.0%})" for n, cell in row["taps"].items())
        lines.append(f"vivid {vivid}, {rule:<9} {cells}; seen {row['seen']:.0%}, less colourful {row['lower']:.1%}")
    return "\n".join(lines)


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report."""
    counts = [str(count) for count in TAPS]
    head = ["taps, dB (worse)", *(f"{n} taps" if n != "1" else "1 tap" for n in counts), "seen", "less colourful"]
    rows = []
    for vivid, rule, row in _rows(table):
        cells = [f"{row['taps'][n]['mean']:+.2f} ({row['taps'][n]['worse']:.0%})" for n in counts]
        rows.append([f"{rule}, vivid {vivid}", *cells, f"{row['seen']:.0%}", f"{row['lower']:.1%}"])
    return [head, *rows]


class Taps(AccuracyMeasure):
    """Random taps with their first colour, against the automatic picture."""

    key = "taps"
    options = (Option("--taps", "Also random taps with their first colour, against the automatic picture."),)

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("tapping")
        return {self.key: as_table(measure_taps(run.runner, photographs, PROTOCOLS["zhang17"], tick))}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]

    @staticmethod
    def notes(part: Result) -> list[str]:
        return [f"taps: {part['text']}"]
