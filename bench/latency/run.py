"""One latency run, from runners to a table: what `livetint bench latency` calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.hints import Hint
from ...engine.runners.base import NO_GLOBAL_HINTS, Runner, check_hints
from ...engine.runners.onnx import LATE
from ...engine.runners.subgraph import split_ahead
from ...engine.runners.tensorrt.runner import TensorRTRunner
from .. import environment
from ..progress import Bar
from . import energy, paired, peers, samples, scenarios
from . import roofline as roof
from .stopwatch import Stopwatch
from .workloads import Workload, encoding, stages, touches

# The compared network is timed less often: enough for a median a round.
RARE = 0.0625
# What names of workloads that are not the model's own begin with, and how much longer each of the last two makes a run.
AGAINST, BESIDE, PEER = "against ", "beside ", "peer "
COMPANY_S = 2.5
# A bundle's file → the stage that times it, per number of hints. The distribution is not among them: it gathers at
# points, so the size of its inputs says nothing about what it reads.
STAGES_OF_FILES = {
    "encoder": "encode",
    "touch": "touch_to_ab_{}",
    "colour": "touch_to_ab_{}",
}


@dataclass(frozen=True)
class Beside:
    """Another build, precision, runner or number of threads: its touches are timed in the same rounds."""

    label: str
    runner: Runner
    threads: int


@dataclass(frozen=True)
class Company:
    """Whom a run is timed with: another network, other builds of this one, other run times and Levin's optimiser."""

    against: Runner | None = None
    beside: tuple[Beside, ...] = ()
    peers: bool = False


ALONE = Company()


def run(
    runner: Runner, numbers: tuple[int, ...], threads: int, number: int, company: Company = ALONE
) -> tuple[dict[str, Any], str]:
    """Measure and return the table for JSON and lines for the terminal. Raises HintRejected for too many hints."""
    others = [side.runner for side in company.beside] + ([company.against] if company.against else [])
    for each in (runner, *others):
        _check_numbers(each, numbers)
    before = environment.machine()
    with paired.opencv_threads(threads), peers.scratch() as folder:
        found, left_out = _measure(runner, numbers, threads, number, company, Path(folder))
    ours = found.part("", (AGAINST, BESIDE, PEER))
    settings = _settings(runner, numbers, threads, before) | {"touches": number, "rounds": ours.number}
    settings["energy"] = energy.of_touches(touches(runner, numbers))
    settings["relative"] = measure_relative(runner, numbers, samples.default_length_s(number))
    other = None
    if company.against:
        other = (environment.model_table(company.against.bundle), found.part(AGAINST))
    table = samples.as_table(environment.model_table(runner.bundle), ours, other, settings)
    if company.beside:
        table["beside"] = {side.label: _beside_table(side, found, ours) for side in company.beside}
    if company.peers:
        table["peers"] = peers.as_table(found.part(PEER), left_out)
    return table, "\n".join([samples.as_lines(table), *peers.as_lines(table), *_beside_lines(table)])


def _measure(
    runner: Runner, numbers: tuple[int, ...], threads: int, number: int, company: Company, folder: Path
) -> tuple[samples.Samples, dict[str, dict[str, str]]]:
    loads = [*touches(runner, numbers), *stages(runner, numbers)]
    if company.against:
        loads += [Workload(AGAINST + load.name, load.run, RARE, 64) for load in touches(company.against, numbers)]
    for side in company.beside:
        some = [*touches(side.runner, numbers), encoding(side.runner)]
        loads += [Workload(f"{BESIDE}{side.label} {load.name}", load.run, 0.25, 64) for load in some]
    left_out: dict[str, dict[str, str]] = {}
    if company.peers:
        bundles = [runner.bundle, *([company.against.bundle] if company.against else [])]
        some, left_out = peers.all_workloads(bundles, numbers, threads, folder)
        loads += [Workload(PEER + load.name, load.run, load.share, load.least) for load in some]
    length_s = samples.default_length_s(number) + COMPANY_S * sum(
        load.name.startswith((BESIDE, PEER)) for load in loads
    )
    with Bar("warming up", len(loads) * samples.ROUNDS) as bar:
        found = samples.measure(
            loads,
            number,
            tick=bar.step,
            watch=Stopwatch(processors=environment.usable_processors()),
            length_s=length_s,
        )
        return found, left_out


def measure_relative(runner: Runner, numbers: tuple[int, ...], length_s: float) -> dict[str, Any]:
    """The table `relative`: every stage between references, on a one-thread twin (see `relative`)."""
    with Bar("one thread", paired.ROUNDS) as bar:
        found = paired.measure(lambda: paired.twin(runner, numbers), paired.clock_of(runner), length_s, bar.step)
    return paired.as_table(found)


def _beside_table(side: Beside, found: samples.Samples, ours: samples.Samples) -> dict[str, Any]:
    theirs = found.part(f"{BESIDE}{side.label} ")
    return {
        "model": environment.model_table(side.runner.bundle),
        "runner": type(side.runner).__name__,
        "threads": side.threads,
        "stages": theirs.summaries(),
        "ratios": samples.ratios(ours, theirs),
        "samples": theirs.raw(),
    }


def _beside_lines(table: dict[str, Any]) -> list[str]:
    return [
        f"{label} takes {row['ratio']:.4g} times as long as {stage}"
        for label, side in table.get("beside", {}).items()
        for stage, row in side["ratios"].items()
    ]


def run_scenario(runner: Runner, numbers: tuple[int, ...], threads: int, name: str) -> tuple[dict[str, Any], str]:
    """after-idle or open-loop for touches with every number of hints. Raises HintRejected for too many hints.

    The table's `stages` hold the times of answers: after a pause, or (open-loop) from arrival to answer at 60 Hz.
    """
    _check_numbers(runner, numbers)
    before = environment.machine()
    loads = [(load.name, load.run) for load in touches(runner, numbers)]
    for load in touches(runner, numbers):
        samples.warm_up(load)
    with Bar(name, scenarios.steps(name, len(loads))) as bar:
        found = scenarios.run_scenario(name, loads, bar.step)
    model = environment.model_table(runner.bundle)
    first = str(scenarios.RATES_HZ[0])
    rows = {load: row if name == "after-idle" else row[first]["age"] for load, row in found.items()}
    table = {
        "schema": samples.SCHEMA,
        "kind": "latency",
        "scenario": name,
        "unit": "ms",
        **_settings(runner, numbers, threads, before),
        "model": model,
        "model_sha256": model["sha256"],
        "stages": {load: {key: v for key, v in row.items() if key != "samples"} for load, row in rows.items()},
        "memory_mib": environment.memory_mib(),
        name: found,
    }
    table["warnings"] = samples.warnings(table)
    return table, scenarios.as_lines(name, found)


def roofline(
    runner: Runner, numbers: tuple[int, ...], stages_ms: dict[str, dict[str, Any]]
) -> tuple[dict[str, Any], str]:
    """Work and roof of every graph of a touch, beside the medians of a run's stages."""
    ceilings = roof.measure_ceilings()
    rows = []
    for stage, timed in STAGES_OF_FILES.items():
        if not runner.bundle.has(stage):
            continue
        _, data = split_ahead(runner.bundle.stage(stage), LATE)
        axes = roof.open_axes(data)
        for number in numbers if axes or stage == "colour" else (0,):
            work = roof.count(data, {axis: 1 if axis == "points" else max(number, 1) for axis in axes})
            name = timed.format(number)
            rows.append(roof.row(name, work, ceilings, stages_ms.get(name, {}).get("p50")))
    table = {"gflops": round(ceilings.gflops, 2), "gbytes": round(ceilings.gbytes, 2), "rows": rows}
    return table | {"note": "modelled_ms are modelled from data sheets, not measured"}, roof.as_lines(rows, ceilings)


def _check_numbers(runner: Runner, numbers: tuple[int, ...]) -> None:
    check_hints(runner.bundle, [Hint(0.5, 0.5, 0, 0)] * max(numbers), NO_GLOBAL_HINTS)


def _settings(runner: Runner, numbers: tuple[int, ...], threads: int, before: dict[str, Any]) -> dict[str, Any]:
    return {
        "device": "cuda" if isinstance(runner, TensorRTRunner) else "cpu",
        "runner": type(runner).__name__,
        "threads": threads,
        "hints": list(numbers),
        "machine": before,
        "machine_after": environment.machine(),
        "versions": environment.versions(),
    }
