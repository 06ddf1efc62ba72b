"""Measures besides PSNR: colour at the hints, reach, bleeding, steadiness, coverage of the swatches, the novice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...calibration.visitor import gaussian_patches, reveal
from ...engine.bundle import Bundle
from ...engine.errors import HintRejected
from ...engine.hints import Hint, pixel_at
from ...engine.runners.base import NO_GLOBAL_HINTS, Features, Runner, check_hints
from ...engine.suggest import suggest
from ..cells import short
from ..measure import Result, Rows
from ..options import Option
from . import quality
from .per_photo import Tally, mean, standard_error
from .protocols import PROTOCOLS, Picture, Protocol
from .run import SEED, AccuracyMeasure, Run

POINTS = 16
SHOWN = (5, 9)
# The coverage is measured again after so many true hints.
KNOWN = 5
NOVICE_COUNTS = (1, 2, 5, 10)
DRAG_FRAMES, DRAG_STEP = 6, 1 / 256
REACH_AT = (1, 10)
PATCH_PX = 6


def measure_extras(
    runner: Runner,
    photographs: Iterable[Picture],
    protocol: Protocol,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> Tally:
    """ΔE at hints, reach, bleeding, steadiness, coverage and the novice, for every photograph at 256 × 256.

    Pictures must be scored at the network's own side (protocol zhang17). Measures that need hints at points or
    suggestions are left out of the tally for networks without them.
    """
    tally = Tally()
    for index, picture in enumerate(photographs):
        rng = np.random.default_rng([seed, index])
        features = runner.encode(picture.L)
        if _takes(runner.bundle, max(REACH_AT)):
            _spread(runner, features, picture, tally, (index, rng))
            _steady(runner, features, picture, tally, (index, rng))
        if runner.bundle.manifest.distribution:
            _coverage(runner, features, picture, tally, (index, rng))
            if _takes(runner.bundle, max(NOVICE_COUNTS)):
                _novice(runner, features, picture, protocol, tally, (index, rng))
        tick()
    return tally


def _takes(bundle: Bundle, count: int) -> bool:
    try:
        check_hints(bundle, [Hint(0.5, 0.5, 0, 0)] * count, NO_GLOBAL_HINTS)
    except HintRejected:
        return False
    return True


def _add(tally: Tally, key: tuple[str, ...], index: int, value: float | None) -> None:
    if value is not None:
        tally.add(key, index, value)


def _points(rng: np.random.Generator, picture: Picture, count: int) -> list[Hint]:
    return reveal(picture.ab, gaussian_patches(rng, count, (PATCH_PX, PATCH_PX)))


def _spread(
    runner: Runner, features: Features, picture: Picture, tally: Tally, at: tuple[int, np.random.Generator]
) -> None:
    """ΔE at the hints, bleeding, and how far the newest hint reaches, at 1 and 10 points."""
    index, rng = at
    for count in REACH_AT:
        hints = _points(rng, picture, count)
        before, after = (runner.colorize(features, some) for some in (hints[:-1], hints))
        _add(tally, ("delta_e_at_hints", str(count)), index, quality.at_hints(after, hints))
        _add(tally, ("reach", str(count)), index, quality.reach(before, after, hints[-1]))
        _add(tally, ("bleeding", str(count)), index, quality.bleeding(picture.lab, after))
        _add(tally, ("delta_e", str(count)), index, quality.mean_difference(picture.lab, after))


def _steady(
    runner: Runner, features: Features, picture: Picture, tally: Tally, at: tuple[int, np.random.Generator]
) -> None:
    """How much the picture flickers while a hint of one colour moves by a pixel a frame."""
    index, rng = at
    start = _points(rng, picture, 1)[0]
    way = np.clip(start.x + DRAG_STEP * np.arange(DRAG_FRAMES), 0, 1)
    moved = [Hint(float(x), start.y, start.a, start.b, start.size) for x in way]
    frames = [runner.colorize(features, (hint,)) for hint in moved]
    _add(tally, ("unsteadiness", "1"), index, quality.steadiness(frames))


def _swatches(
    runner: Runner, features: Features, picture: Picture, hints: list[Hint], place: tuple[float, float], count: int
) -> NDArray[np.float64]:
    """Suggested ab [K, 2] at a place (x, y in 0…1), after `hints`."""
    table = runner.bundle.manifest.distribution
    if table is None:
        return np.zeros((0, 2))
    x, y = place
    probabilities = runner.distribution(features, hints, NO_GLOBAL_HINTS, np.array([[x, y]], np.float32))[0]
    L = float(picture.L[pixel_at(x, y, *picture.L.shape)])
    found = suggest(probabilities, table.centres, L, (0.0, 0.0), count)
    return np.array([(swatch.a, swatch.b) for swatch in found.swatches]).reshape(-1, 2)


def _coverage(
    runner: Runner, features: Features, picture: Picture, tally: Tally, at: tuple[int, np.random.Generator]
) -> None:
    """Share of points whose true colour is among the swatches, without hints and after KNOWN true ones."""
    index, rng = at
    asked = _points(rng, picture, POINTS)
    known: dict[str, list[Hint]] = {"coverage": []}
    if _takes(runner.bundle, KNOWN):
        known[f"coverage, {KNOWN} hints"] = _points(np.random.default_rng([KNOWN, index]), picture, KNOWN)
    for name, hints in known.items():
        for point in asked:
            for count in SHOWN:
                swatches = _swatches(runner, features, picture, hints, (point.x, point.y), count)
                hit = quality.covered(swatches, np.array([point.a, point.b]))
                tally.add((name, str(count)), index, float(hit))


def _novice(
    runner: Runner,
    features: Features,
    picture: Picture,
    protocol: Protocol,
    tally: Tally,
    at: tuple[int, np.random.Generator],
) -> None:
    """PSNR of a user who knows the truth but can only tap swatches (5 or 9, new after every hint), and PSNR of the same
    points with their exact colours."""
    index, rng = at
    exact = _points(rng, picture, max(NOVICE_COUNTS))
    picked: dict[int, list[Hint]] = {count: [] for count in SHOWN}
    for number, hint in enumerate(exact, 1):
        for count, hints in picked.items():
            swatches = _swatches(runner, features, picture, hints, (hint.x, hint.y), count)
            distances = ((swatches - (hint.a, hint.b)) ** 2).sum(1)
            a, b = swatches[int(np.argmin(distances))]
            hints.append(Hint(hint.x, hint.y, float(a), float(b), hint.size))
        if number not in NOVICE_COUNTS:
            continue
        for name, hints in (("exact", exact[:number]), *((f"swatches {k}", v) for k, v in picked.items())):
            score = protocol.psnr(picture, runner.colorize(features, hints))
            tally.add((f"novice, {name}", str(number)), index, score)
    tally.add(("novice, no hint", "0"), index, protocol.psnr(picture, runner.colorize(features, ())))


LPIPS_MISSING = "LPIPS needs the ImageNet weights of its VGG network, which Livetint neither ships nor downloads"
TEXTS = {
    "delta_e_at_hints": "mean difference of the colour under a hint's patch to the asked one (ΔE, ab)",
    "reach": "mean distance from the newest hint to the pixels it changed by more than 2.3, as a share of the side",
    "bleeding": "colour error within two pixels of an edge of L minus that elsewhere (ΔE, ab)",
    "delta_e": "mean colour error (ΔE, CIE76)",
    "unsteadiness": "mean second difference of ab while a hint moves a pixel a frame (ab)",
    "coverage": "share of points whose true ab lies within ΔE 10 of one of the first 5 or 9 swatches",
    f"coverage, {KNOWN} hints": "the same where so many true hints are set",
    "novice": "PSNR in dB when colours are picked from the swatches, against exact colours and no hint",
}


def as_table(tally: Tally) -> dict[str, Any]:
    """measure → column → mean, standard error over photographs, n; and why LPIPS is missing."""
    table: dict[str, Any] = {"texts": TEXTS, "lpips": {"available": False, "why": LPIPS_MISSING}}
    for measure, column in tally.names:
        values = tally.per_photo((measure, column))
        row = {"mean": mean(values), "standard_error": standard_error(values), "n": len(values)}
        table.setdefault(measure, {})[column] = row
    return table


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal: one line for each measure."""
    return "\n".join(
        f"{measure:<20} " + ", ".join(f"{column}: {row['mean']:.3f}" for column, row in columns.items())
        for measure, columns in _measures(table).items()
    )


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report: every measure with its standard error over photographs."""
    rows = [["measure", "at", "mean", "standard error", "photographs"]]
    for measure, columns in _measures(table).items():
        rows += [
            [measure, at, short(row["mean"]), short(row["standard_error"]), str(row["n"])]
            for at, row in columns.items()
        ]
    return rows


def _measures(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {key: value for key, value in table.items() if key not in ("texts", "lpips")}


class Extras(AccuracyMeasure):
    """The measures besides PSNR."""

    key = "extras"
    options = (
        Option("--extras", "Also colour at hints, reach, bleeding, steadiness, suggestions, the novice."),
    )  # fmt: skip

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("extras")
        return {self.key: as_table(measure_extras(run.runner, photographs, PROTOCOLS["zhang17"], SEED, tick))}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
