"""Accuracy against the number of points: the network beside baselines, on the same photographs and points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.colour.global_hints import GlobalHints, histogram_of, saturation_of
from ...engine.errors import ConfigError, HintRejected
from ...engine.hints import Hint
from ...engine.runners.base import Runner, check_hints
from ...engine.runners.sessions import default_threads
from ..cells import decibels
from ..measure import Result, Rows
from ..options import Option, Options, counts, factor, words
from .levin import Optimiser
from .per_photo import Tally, mean, standard_error
from .protocols import PROTOCOLS, Picture
from .published import OFFICIAL_LABEL, official_gain
from .run import SCHEMA, Accuracy, AccuracyMeasure, Losses, Plan, Run

GLOBAL_KINDS = ("hist", "sat", "both")
BASELINES = ("grey", "levin")
GREY, MODEL, LEVIN, GLOBAL = "gray", "psnr", "levin", "global"
BESIDE = "beside "


def measure(
    runner: Runner,
    photographs: Iterable[Picture],
    plan: Plan,
    tick: Callable[[], object] = lambda: None,
    beside: Mapping[str, Runner] | None = None,
) -> Accuracy:
    """Colour every photograph with every number of points, as often as `plan.draws` says.

    beside: other builds, precisions or runners by label; they get the same photographs and points.

    `tick` is called after each photograph. Counts that the network cannot take are left out and named in
    `left_out`. Raises ConfigError when nothing is left to measure.
    """
    found = Accuracy(plan)
    possible = possible_counts(runner, plan, found)
    kinds = _possible_kinds(runner, plan, found)
    if not possible and not kinds:
        raise ConfigError("nothing can be measured: " + "; ".join(found.left_out.values()))
    for index, picture in enumerate(photographs):
        grey = np.zeros((2, *picture.lab.shape[:2]), np.float32)
        found.tally.add((GREY,), index, plan.protocol.psnr(picture, grey))
        drawn = [
            (count, draw_hints(plan, picture, index, count, draw)) for count in possible for draw in range(plan.draws)
        ]
        _colour(found, runner, (picture, index), drawn, kinds)
        for label, other in (beside or {}).items():
            _colour(found, other, (picture, index), drawn, method=BESIDE + label)
        if plan.levin:
            _optimise(picture, drawn, index, found)
        found.photos = index + 1
        tick()
    if not found.photos:
        raise ConfigError("there are no photographs to measure on")
    return found


def _colour(
    found: Accuracy,
    runner: Runner,
    at: tuple[Picture, int],
    drawn: Sequence[tuple[int, list[Hint]]],
    kinds: Sequence[str] = (),
    method: str = MODEL,
) -> None:
    """Colour one photograph (with its number) with every draw of points, and with every kind of global hints."""
    picture, index = at
    features = runner.with_vivid(runner.encode(picture.L), found.plan.vivid)
    for count, hints in drawn:
        score = found.plan.protocol.psnr(picture, runner.colorize(features, hints))
        found.tally.add((method, str(count)), index, score)
    for kind in kinds:
        ab = runner.colorize(features, (), revealed(picture, kind))
        found.tally.add((GLOBAL, kind), index, found.plan.protocol.psnr(picture, ab))


def draw_hints(plan: Plan, picture: Picture, index: int, count: int, draw: int) -> list[Hint]:
    """The hints of one draw. They depend on the seed, the photograph's number, the count and the draw alone."""
    rng = np.random.default_rng([plan.seed, index, count, draw])
    return plan.protocol.hints(rng, picture.ab, count)


def revealed(picture: Picture, kind: str) -> GlobalHints:
    """The truth's own statistics: hist, sat or both."""
    histogram = histogram_of(picture.ab) if kind in ("hist", "both") else None
    saturation = saturation_of(picture.rgb / 255) if kind in ("sat", "both") else None
    return GlobalHints(histogram, saturation)


def _optimise(picture: Picture, drawn: Sequence[tuple[int, list[Hint]]], index: int, found: Accuracy) -> None:
    """Levin's colours for every draw. SciPy's solver releases the interpreter, so each CPU core solves one."""
    optimiser = Optimiser(picture.lab[..., 0].astype(np.float32))

    def score(hints: list[Hint]) -> float:
        return found.plan.protocol.psnr(picture, optimiser.colorize(hints))

    with ThreadPoolExecutor(default_threads()) as pool:
        scores = list(pool.map(score, [hints for _, hints in drawn]))
    for (count, _), value in zip(drawn, scores, strict=True):
        found.tally.add((LEVIN, str(count)), index, value)


def possible_counts(runner: Runner, plan: Plan, found: Accuracy) -> list[int]:
    """The numbers of points that the network takes. The others go to `found.left_out`, with the reason."""
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


def as_table(found: Accuracy, network_side: int) -> Result:
    """The measurements as plain data for JSON: PSNR in dB, gains over grey, standard errors over photographs."""
    plan, tally = found.plan, found.tally
    grey = tally.per_photo((GREY,))
    table: Result = {
        "schema": SCHEMA,
        "kind": "accuracy",
        "protocol": plan.protocol.name,
        "protocol_text": plan.protocol.text,
        "photos": found.photos,
        "draws": plan.draws,
        "vivid": plan.vivid,
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
    beside = {label: _beside(tally, label, grey) for label in dict.fromkeys(key[0] for key in tally.names)
              if label.startswith(BESIDE)}  # fmt: skip
    if beside:
        table["beside"] = {label.removeprefix(BESIDE): curve for label, curve in beside.items()}
    table["samples"] = {
        "/".join(key): [round(float(value), 4) for value in tally.per_photo(key)] for key in tally.names
    }
    return table


def _curve(tally: Tally, method: str, grey: NDArray[np.float64], flat: bool) -> dict[str, Any]:
    columns = [key[1] for key in tally.names if key[0] == method]
    values = {column: tally.per_photo((method, column)) for column in columns}
    return {
        "psnr": {column: mean(v) for column, v in values.items()},
        ("psnr_standard_error" if flat else "standard_error"): {c: standard_error(v) for c, v in values.items()},
        "gain": {column: mean(v - grey) for column, v in values.items()},
        "gain_standard_error": {column: standard_error(v - grey) for column, v in values.items()},
    }


def _beside(tally: Tally, label: str, grey: NDArray[np.float64]) -> dict[str, Any]:
    """Another build's curve, and what it loses against the model, paired by photograph."""
    curve = _curve(tally, label, grey, flat=False)
    lost = {column: tally.per_photo((MODEL, column)) - tally.per_photo((label, column)) for column in curve["psnr"]}
    curve["lost_db"] = {column: mean(values) for column, values in lost.items()}
    curve["lost_db_standard_error"] = {column: standard_error(values) for column, values in lost.items()}
    return curve


def as_lines(table: Result) -> str:
    """For the terminal: gain over grey in dB, mean ± standard error over photographs."""
    rows = [f"{table['photos']} photographs, {table['protocol']}; grey {table['gray']:.2f} dB; gain over grey in dB"]
    columns = list(table["psnr"])
    if columns:
        rows.append("points".ljust(12) + "".join(column.rjust(16) for column in columns))
    beside = [(label[-12:], curve) for label, curve in table.get("beside", {}).items()]
    for name, curve in (("network", table), *beside, ("levin", table.get(LEVIN))):
        if curve and curve["gain"]:
            rows.append(name.ljust(12) + "".join(gain_cell(curve, column).rjust(16) for column in columns))
    if GLOBAL in table:
        rows += [f"{kind:<12}" + gain_cell(table[GLOBAL], kind).rjust(16) for kind in table[GLOBAL]["gain"]]
    rows += [f"left out: {what} ({why})" for what, why in table["left_out"].items()]
    return "\n".join(rows)


def gain_cell(curve: dict[str, Any], column: str) -> str:
    """`gain ± standard error` in dB at one column; a dash where the curve lacks it."""
    if column not in curve["gain"]:
        return "–"
    return decibels(curve["gain"][column], curve["gain_standard_error"][column])


def points_head(columns: Iterable[str]) -> list[str]:
    """Heads of columns: `1 point`, `10 points`."""
    return [f"{column} points" if column != "1" else "1 point" for column in columns]


def gain_rows(table: Result) -> Rows:
    """Header and rows: gain over grey in dB ± standard error for every number of points."""
    columns = list(table["gain"])
    rows = [["gain over grey, dB", *points_head(columns)]]
    curves = [(table.get("model", {}).get("name", "network"), table), *table.get("beside", {}).items()]
    curves.append(("Levin et al. 2004", table.get(LEVIN)))
    rows += [[name, *(gain_cell(curve, column) for column in columns)] for name, curve in curves if curve]
    if table["protocol"] == "zhang17":
        official = official_gain()
        rows.append([OFFICIAL_LABEL, *(f"{official[int(c)]:.2f}" if int(c) in official else "–" for c in columns)])
    return rows


def global_rows(table: Result) -> Rows:
    """Header and rows: what revealed statistics gain without points; empty if not measured."""
    if GLOBAL not in table:
        return []
    names = {"hist": "histogram", "sat": "saturation", "both": "both"}
    rows = [[names[kind], gain_cell(table[GLOBAL], kind)] for kind in table[GLOBAL]["gain"]]
    return [["revealed, no points", "gain over grey, dB"], *rows]


def check_baselines(names: Sequence[str]) -> tuple[str, ...]:
    """Known names of baselines, each once. Raises ConfigError."""
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise ConfigError(f"there is no baseline {unknown[0]!r}; choose from {', '.join(BASELINES)}")
    return tuple(dict.fromkeys(names))


class Curve(AccuracyMeasure):
    """PSNR against the number of points. It is always measured, and the result holds it without a key of its own."""

    key = MODEL
    in_brief = True
    options = (
        Option("--hints", "Numbers of points, with commas.", str, "0,1,10,100", parse=counts),
        Option("--protocol", "How points are drawn and pictures scored.", str, "zhang17", choices=tuple(PROTOCOLS)),
        Option("--draws", "Draws of the points.", int, 1, low=1, high=100),
        Option("--vivid", "Factor of the automatic colours, of the curve, --aged and --chroma.", str, "1",
               metavar="K", parse=factor),
        Option("--global", "Also reveal the truth's statistics, without points; may be given again.", str,
               multiple=True, choices=GLOBAL_KINDS),
        Option("--baselines", "grey, levin: with commas.", str, "grey",
               parse=lambda text: check_baselines(words(text))),
        Option("--beside", "Another build of the model, coloured with the same points; may be given again.", str,
               multiple=True, metavar="FOLDER"),
    )  # fmt: skip

    @classmethod
    def from_options(cls, options: Options) -> Curve:
        """The curve is always measured; see `plan` for what is asked of it."""
        return cls()

    @staticmethod
    def plan(options: Options) -> Plan:
        """What the options ask of the curve."""
        kinds = tuple(dict.fromkeys(options["global"]))
        return Plan(
            PROTOCOLS[options["protocol"]],
            options["hints"],
            options["draws"],
            kinds,
            options["baselines"],
            vivid=options["vivid"],
        )

    def measure(self, run: Run) -> Result:
        """Also keeps what was found in `run.clean`, for measures that compare with it."""
        photographs, tick = run.photographs("colouring", run.plan.protocol)
        run.clean = measure(run.runner, photographs, run.plan, tick, run.beside)
        return as_table(run.clean, run.network_side)

    @classmethod
    def part(cls, result: Result) -> Result:
        """The curve has no key of its own."""
        return result

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [gain_rows(part), global_rows(part)]

    @staticmethod
    def losses(part: Result) -> Losses:
        """What other builds lose on the same points."""
        return {
            label: {n: (lost, curve["lost_db_standard_error"][n]) for n, lost in curve["lost_db"].items()}
            for label, curve in part.get("beside", {}).items()
        }

    @staticmethod
    def notes(part: Result) -> list[str]:
        return [part["protocol_text"], *(f"Left out: {what} ({why})" for what, why in part["left_out"].items())]
