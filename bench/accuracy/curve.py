"""Accuracy against the number of points: the network beside baselines, on the same photographs and points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...calibration.photographs import photograph_files
from ...engine.colour.global_hints import GlobalHints, histogram_of, saturation_of
from ...engine.errors import ConfigError, HintRejected
from ...engine.hints import Hint
from ...engine.runners.base import Runner, check_hints
from ...engine.runners.onnx import default_threads
from .levin import Optimiser
from .per_photo import Tally, mean, standard_error
from .protocols import Picture, Protocol

SCHEMA = 1
SEED = 1234
GLOBAL_KINDS = ("hist", "sat", "both")
BASELINES = ("grey", "levin")
GREY, MODEL, LEVIN, GLOBAL = "gray", "psnr", "levin", "global"
BESIDE = "beside "


@dataclass(frozen=True)
class Plan:
    """What is asked of an accuracy run."""

    protocol: Protocol
    counts: tuple[int, ...]
    draws: int = 1
    global_kinds: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ("grey",)
    seed: int = SEED


@dataclass
class Accuracy:
    """What a run found: PSNR in dB per photograph, and the counts that were left out with the reason."""

    plan: Plan
    tally: Tally = field(default_factory=Tally)
    left_out: dict[str, str] = field(default_factory=dict)
    photos: int = 0


def count_photographs(source: Path, limit: int | None) -> int:
    """How many photographs a run will see. Raises ConfigError for none."""
    number = sum(1 for _ in islice(photograph_files(source), limit))
    if not number:
        raise ConfigError(f"{source} holds no photographs; give a folder or a tar file that does")
    return number


def pictures(source: Path, protocol: Protocol, network_side: int, limit: int | None) -> Iterator[Picture]:
    """The photographs of a set, one after the other. Raises ConfigError for one that cannot be decoded."""
    for name, data in islice(photograph_files(source), limit):
        try:
            yield protocol.picture(data, network_side)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ConfigError(f"{name} cannot be decoded ({error}); take it out of the set") from error


def measure(
    runner: Runner,
    photographs: Iterable[Picture],
    plan: Plan,
    tick: Callable[[], object] = lambda: None,
    beside: Mapping[str, Runner] | None = None,
) -> Accuracy:
    """Colour every photograph with every number of points, as often as `plan.draws` says.

    beside: other builds, precisions or runners by label; they see the same photographs and points.

    `tick` is called after each photograph. Counts the network cannot take are left out and named in
    `left_out`. Raises ConfigError when nothing is left to measure.
    """
    found = Accuracy(plan)
    counts = _possible_counts(runner, plan, found)
    kinds = _possible_kinds(runner, plan, found)
    if not counts and not kinds:
        raise ConfigError("nothing can be measured: " + "; ".join(found.left_out.values()))
    for index, picture in enumerate(photographs):
        grey = np.zeros((2, *picture.lab.shape[:2]), np.float32)
        found.tally.add((GREY,), index, plan.protocol.psnr(picture, grey))
        features = runner.encode(picture.L)
        drawn = [
            (count, draw_hints(plan, picture, index, count, draw)) for count in counts for draw in range(plan.draws)
        ]
        for count, hints in drawn:
            score = plan.protocol.psnr(picture, runner.colorize(features, hints))
            found.tally.add((MODEL, str(count)), index, score)
        for label, other in (beside or {}).items():
            theirs = other.encode(picture.L)
            for count, hints in drawn:
                score = plan.protocol.psnr(picture, other.colorize(theirs, hints))
                found.tally.add((BESIDE + label, str(count)), index, score)
        if "levin" in plan.baselines:
            _optimise(picture, drawn, index, found)
        for kind in kinds:
            ab = runner.colorize(features, (), revealed(picture, kind))
            found.tally.add((GLOBAL, kind), index, plan.protocol.psnr(picture, ab))
        found.photos = index + 1
        tick()
    if not found.photos:
        raise ConfigError("there are no photographs to measure on")
    return found


def draw_hints(plan: Plan, picture: Picture, index: int, count: int, draw: int) -> list[Hint]:
    """The hints of one draw: they depend on the seed, the photograph's number, the count and the draw alone."""
    rng = np.random.default_rng([plan.seed, index, count, draw])
    return plan.protocol.hints(rng, picture.ab, count)


def revealed(picture: Picture, kind: str) -> GlobalHints:
    """The truth's own statistics: hist, sat or both."""
    histogram = histogram_of(picture.ab) if kind in ("hist", "both") else None
    saturation = saturation_of(picture.rgb / 255) if kind in ("sat", "both") else None
    return GlobalHints(histogram, saturation)


def _optimise(picture: Picture, drawn: Sequence[tuple[int, list[Hint]]], index: int, found: Accuracy) -> None:
    """Levin's colours for every draw. SciPy's solver lets other threads run, so each CPU solves one."""
    optimiser = Optimiser(picture.lab[..., 0].astype(np.float32))

    def score(hints: list[Hint]) -> float:
        return found.plan.protocol.psnr(picture, optimiser.colorize(hints))

    with ThreadPoolExecutor(default_threads()) as pool:
        scores = list(pool.map(score, [hints for _, hints in drawn]))
    for (count, _), value in zip(drawn, scores, strict=True):
        found.tally.add((LEVIN, str(count)), index, value)


def _possible_counts(runner: Runner, plan: Plan, found: Accuracy) -> list[int]:
    possible = []
    for count in plan.counts:
        try:
            check_hints(runner.bundle, [Hint(0.5, 0.5, 0, 0)] * count, GlobalHints())
            possible.append(count)
        except HintRejected as error:
            found.left_out[str(count)] = str(error)
    return possible


def _possible_kinds(runner: Runner, plan: Plan, found: Accuracy) -> list[str]:
    possible = []
    for kind in plan.global_kinds:
        try:
            check_hints(runner.bundle, (), GlobalHints(saturation=0.5))
            possible.append(kind)
        except HintRejected as error:
            found.left_out[kind] = str(error)
    return possible


def as_table(found: Accuracy, network_side: int) -> dict[str, Any]:
    """The measurements as plain data for JSON: PSNR in dB, gains over grey, standard errors over photographs."""
    plan, tally = found.plan, found.tally
    grey = tally.per_photo((GREY,))
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "accuracy",
        "protocol": plan.protocol.name,
        "protocol_text": plan.protocol.text,
        "photos": found.photos,
        "draws": plan.draws,
        "seed": plan.seed,
        "scored_side_px": plan.protocol.side,
        "network_side_px": network_side,
        **_curve(tally, MODEL, grey, flat=True),
        "gray": mean(grey),
        "gray_standard_error": standard_error(grey),
        "left_out": found.left_out,
    }
    for key in (LEVIN, GLOBAL):
        curve = _curve(tally, key, grey, flat=False)
        if curve["psnr"]:
            table[key] = curve
    for label in dict.fromkeys(key[0] for key in tally.names if key[0].startswith(BESIDE)):
        curve = _curve(tally, label, grey, flat=False)
        lost = {column: tally.per_photo((MODEL, column)) - tally.per_photo((label, column)) for column in curve["psnr"]}
        curve["lost_db"] = {column: mean(values) for column, values in lost.items()}
        curve["lost_db_standard_error"] = {column: standard_error(values) for column, values in lost.items()}
        table.setdefault("beside", {})[label.removeprefix(BESIDE)] = curve
    table["samples"] = {
        "/".join(key): [round(float(value), 4) for value in tally.per_photo(key)] for key in tally.names
    }
    return table


def _curve(tally: Tally, method: str, grey: np.ndarray, flat: bool) -> dict[str, Any]:
    columns = [key[1] for key in tally.names if key[0] == method]
    values = {column: tally.per_photo((method, column)) for column in columns}
    return {
        "psnr": {column: mean(v) for column, v in values.items()},
        ("psnr_standard_error" if flat else "standard_error"): {c: standard_error(v) for c, v in values.items()},
        "gain": {column: mean(v - grey) for column, v in values.items()},
        "gain_standard_error": {column: standard_error(v - grey) for column, v in values.items()},
    }


def as_lines(table: dict[str, Any]) -> str:
    """A short table for the terminal: gain over grey in dB, mean ± standard error over photographs."""
    rows = [f"{table['photos']} photographs, {table['protocol']}; grey {table['gray']:.2f} dB; gain over grey in dB"]
    columns = list(table["psnr"])
    if columns:
        rows.append("points".ljust(12) + "".join(column.rjust(16) for column in columns))
    beside = [(label[-12:], curve) for label, curve in table.get("beside", {}).items()]
    for name, curve in (("network", table), *beside, ("levin", table.get(LEVIN))):
        if curve and curve["gain"]:
            cells = [_cell(curve, column).rjust(16) for column in columns]
            rows.append(name.ljust(12) + "".join(cells))
    if GLOBAL in table:
        rows += [f"{kind:<12}" + _cell(table[GLOBAL], kind).rjust(16) for kind in table[GLOBAL]["gain"]]
    rows += [f"left out: {what} ({why})" for what, why in table["left_out"].items()]
    return "\n".join(rows)


def _cell(curve: dict[str, Any], column: str) -> str:
    error = curve["gain_standard_error"][column]
    return f"{curve['gain'][column]:.2f}" + ("" if error is None else f" ± {error:.2f}")


def check_baselines(names: Sequence[str]) -> tuple[str, ...]:
    """Known names of baselines. Raises ConfigError."""
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise ConfigError(f"there is no baseline {unknown[0]!r}; choose from {', '.join(BASELINES)}")
    return tuple(dict.fromkeys(names))
