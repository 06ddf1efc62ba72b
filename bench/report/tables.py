"""Further tables of the report: each a header and rows of text, or nothing where a result does not hold the measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..accuracy.next_touch import AT_ONCE, CHOSEN
from ..accuracy.regions import LEVIN, METHODS, MODEL
from ..latency.peers import reasons

Rows = list[list[str]]


def short(value: float | None) -> str:
    """Three digits, without an exponent for large numbers; a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def span(row: Mapping[str, float | None]) -> str:
    """`low to high` of an interval; a dash where there is none."""
    low, high = row["low"], row["high"]
    return "–" if low is None or high is None else f"{short(low)} to {short(high)}"


def plus_minus(row: Mapping[str, float | None]) -> str:
    """`mean ± standard error`; the mean alone where there is no error."""
    error = row["standard_error"]
    return short(row["mean"]) + ("" if error is None else f" ± {short(error)}")


def extras_rows(table: dict[str, Any]) -> Rows:
    """Every measure beside PSNR, with its standard error over photographs."""
    extras = table.get("extras")
    if not extras:
        return []
    rows = [["measure", "at", "mean", "standard error", "photographs"]]
    for measure, columns in extras.items():
        if measure not in ("texts", "lpips"):
            rows += [
                [measure, at, short(row["mean"]), short(row["standard_error"]), str(row["n"])]
                for at, row in columns.items()
            ]
    return rows


def regions_rows(table: dict[str, Any]) -> Rows:
    """The thing and only the thing: what one and five touches move, inside their region and outside."""
    found = table.get("regions")
    if not found:
        return []
    columns = ("moved_inside", "moved_outside", "error_inside", "error_outside", "gain_inside_db", "bleeding")
    rows = [
        [
            "one thing touched",
            "touches",
            "outside / inside",
            "95 % interval",
            *(c.replace("_db", ", dB").replace("_", " ") for c in columns),
        ]
    ]
    for method in METHODS:
        for touches, row in found.get(method, {}).items():
            cells = [short(row[name]["mean"]) if name in row else "–" for name in columns]
            rows.append([method, touches, short(row["ratio"]["mean"]), span(row["ratio"]), *cells])
    return rows


def opposites_rows(table: dict[str, Any]) -> Rows:
    """Two opposite touches in one thing, and across an edge: are both obeyed, and where does the colour turn."""
    found = table.get("opposites")
    if not found:
        return []
    columns = {
        "at_hints": "ΔE at the touches",
        "sharpest": "sharpest pixel",
        "on_middle": "turns in the middle",
    }
    rows = [["two opposite touches", "line", "apart, px", *columns.values(), "photographs"]]
    for method in (MODEL, LEVIN):
        for kind, distances in found.get(method, {}).items():
            for distance, row in distances.items():
                cells = [plus_minus(row[name]) if name in row else "–" for name in columns]
                rows.append([method, kind, distance, *cells, str(max(cell["n"] for cell in row.values()))])
    return rows


def loss_rows(table: dict[str, Any]) -> Rows:
    """What other builds lose on the same points, and what the network loses on aged light, paired by photograph."""
    lost = {label: _losses(curve) for label, curve in table.get("beside", {}).items()}
    if "aged" in table:
        points = table["aged"]["points"]
        lost["aged light"] = {n: (row["lost_db"], row["lost_db_standard_error"]) for n, row in points.items()}
    if not lost:
        return []
    columns = list(dict.fromkeys(n for row in lost.values() for n in row))
    rows = [[label, *(_decibels(*row[n]) if n in row else "–" for n in columns)] for label, row in lost.items()]
    return [["lost on the same points, dB", *(f"{n} points" if n != "1" else "1 point" for n in columns)], *rows]


def _losses(curve: dict[str, Any]) -> dict[str, tuple[float, float | None]]:
    return {n: (lost, curve["lost_db_standard_error"][n]) for n, lost in curve["lost_db"].items()}


def _decibels(lost: float, error: float | None) -> str:
    return f"{lost:.2f}" + ("" if error is None else f" ± {error:.2f}")


def where_rows(table: dict[str, Any]) -> Rows:
    """What touches of the true colour gain where the network asks for them, over as many at random places."""
    found = table.get("where")
    if not found:
        return []
    ways = {way: found[way] for way in (CHOSEN, AT_ONCE)}
    counts = list(dict.fromkeys(count for row in ways.values() for count in row))
    head = ["gain over random places, dB", *(f"{n} touches" if n != "1" else "1 touch" for n in counts)]
    return [
        head,
        *(
            [name, *(_decibels(row[n]["gain"], row[n]["gain_standard_error"]) for n in counts)]
            for name, row in ways.items()
        ),
    ]


def relative_rows(table: dict[str, Any]) -> Rows:
    """What two builds are compared by: a stage on one thread, and how many times its reference it takes."""
    found = table.get("relative")
    if not found:
        return []
    rows = [["on one thread, CPU time", "ms", "reference", "ms", "times the reference"]]
    for stage, row in found.items():
        times, beside = (np.concatenate(row[key]) for key in ("times", "beside"))
        middle = [short(float(np.median(values))) for values in (times, beside, times / beside)]
        rows.append([stage, middle[0], row["reference"], *middle[1:]])
    return rows


def peer_rows(table: dict[str, Any]) -> Rows:
    """The same network in other run times, as ratios to ONNX Runtime in the same rounds."""
    found = table.get("peers")
    if not found or not found["ratios"]:
        return []
    rows = [["graph", "run time", f"times as long as {found['baseline']}", "95 % interval"]]
    for graph, peers in found["ratios"].items():
        rows += [[graph, peer, f"{short(row['ratio'])} ×", span(row)] for peer, row in peers.items()]
    return rows


def missing_rows(table: dict[str, Any]) -> Rows:
    """Peers that were not timed, and why."""
    left_out = table.get("peers", {}).get("left_out", {})
    return [["not timed", "why"], *([peer, why] for peer, why in reasons(left_out))] if left_out else []


def beside_rows(table: dict[str, Any]) -> Rows:
    """Other builds, precisions and numbers of threads in the same rounds."""
    if not table.get("beside"):
        return []
    rows = [["beside", "stage", "p50, ms", "times as long", "95 % interval"]]
    for label, side in table["beside"].items():
        for stage, row in side["ratios"].items():
            cells = [short(side["stages"][stage]["p50"]), f"{short(row['ratio'])} ×", span(row)]
            rows.append([f"{label} ({side['runner']})", stage, *cells])
    return rows


def open_loop_rows(table: dict[str, Any]) -> Rows:
    """Touches that arrive whether the last is answered or not: what was dropped, how old answers are."""
    found = table.get("open-loop")
    if not found:
        return []
    rows = [["touches that do not wait", "a second", "arrived", "answered", "dropped",
             "age p50, ms", "age p90, ms", "age p99, ms", "an answer every, ms"]]  # fmt: skip
    for load, rates in found.items():
        for rate, at in rates.items():
            counts = [str(at[key]) for key in ("touches", "answered", "dropped")]
            ages = [short(at["age"][key]) for key in ("p50", "p90", "p99")]
            rows.append([load, rate, *counts, *ages, short(at["interval"]["p50"])])
    return rows


def energy_rows(table: dict[str, Any]) -> Rows:
    """Joules a touch by every sensor."""
    rows = [["sensor", "stage", "J a run", "J above idle", "idle, W"]]
    for sensor, found in (table.get("energy") or {}).items():
        rows += [
            [sensor, name, short(row["joules"]), short(row["above_idle"]), short(found["idle_w"])]
            for name, row in found.items()
            if name != "idle_w"
        ]
    return rows if len(rows) > 1 else []


def roof_rows(table: dict[str, Any]) -> Rows:
    """Counted work beside the machine's measured ceilings."""
    found = table.get("roofline")
    if not found:
        return []
    head = f"measured ceilings: {short(found['gflops'])} GFLOP/s, {short(found['gbytes'])} GB/s"
    rows = [[head, "GMAC", "MiB", "least, ms", "measured, ms", "of the roof"]]
    for row in found["rows"]:
        reached = "–" if row["reached"] is None else f"{row['reached']:.0%}"
        numbers = [short(row[key]) for key in ("gmac", "mib", "least_ms", "measured_ms")]
        rows.append([row["stage"], *numbers, reached])
    return rows


def modelled_rows(table: dict[str, Any]) -> Rows:
    """Times on GPUs that were not there: modelled from data sheets, and headed as such."""
    found = table.get("roofline")
    if not found or not found["rows"]:
        return []
    gpus = list(found["rows"][0]["modelled_ms"])
    rows = [["MODELLED from data sheets, not measured; ms", *gpus]]
    return rows + [[row["stage"], *(short(row["modelled_ms"][gpu]) for gpu in gpus)] for row in found["rows"]]
