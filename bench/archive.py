"""How many photographs a second are coloured, by one process and by several that share the cores."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..archive.colour import Colourist, Settings, Task
from ..archive.jobs import Processes
from ..archive.manifest import Manifest
from ..archive.plan import make_plan
from ..archive.run import make_task, run
from ..archive.worker import open_for
from ..engine.bundle import Bundle
from ..engine.cores import usable_cores
from ..engine.errors import ConfigError
from . import environment
from .progress import Progress, no_progress

SCHEMA = 1
ONE_PROCESS = "one process"


def measure_archive(
    bundle: Bundle,
    device: str,
    photos: Path,
    count: int,
    jobs: Sequence[int],
    rounds: int,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Colour `count` photographs, those of the folder `photos` in turn, in every way once a round.

    The ways are one process with all cores, a plain loop without a manifest, and `--jobs` N for each of `jobs`. The
    start of processes is not counted. Raises ConfigError where `photos` holds no photograph.
    """
    settings = Settings(str(bundle.folder), device)
    rates: dict[str, list[float]] = {ONE_PROCESS: [], **{f"--jobs {number}": [] for number in jobs}}
    with TemporaryDirectory() as name:
        scans = _copies(photos, Path(name, "scans"), count)
        for turn in range(rounds):
            progress("rounds", turn, rounds, ONE_PROCESS)
            rates[ONE_PROCESS].append(count / _loop_s(settings, scans, Path(name, f"loop-{turn}")))
            for number in jobs:
                progress("rounds", turn, rounds, f"--jobs {number}")
                seconds = _run_s(settings, scans, Path(name, f"{number}-{turn}"), bundle, number)
                rates[f"--jobs {number}"].append(count / seconds)
        progress("rounds", rounds, rounds, "")
    return {
        "schema": SCHEMA,
        "kind": "archive",
        "unit": "photographs a second",
        "photographs": count,
        "rates": {way: [round(rate, 3) for rate in found] for way, found in rates.items()},
        "machine": environment.machine(),
        "versions": environment.versions(),
        "model": environment.model_table(bundle),
    }


def as_lines(result: dict[str, Any]) -> str:
    """The result for a terminal: medians, and how they compare with one process."""
    medians = {way: statistics.median(found) for way, found in result["rates"].items()}
    base = medians[ONE_PROCESS]
    lines = [f"{way:12} {rate:7.2f} photographs a second, {rate / base:.2f} ×" for way, rate in medians.items()]
    rounds = len(result["rates"][ONE_PROCESS])
    return "\n".join([*lines, f"{result['photographs']} photographs, medians of {rounds} rounds in turns"])


def _copies(photos: Path, folder: Path, count: int) -> Path:
    found = make_plan([photos], folder).photographs
    if not found:
        raise ConfigError(f"{photos} holds no photograph; check the path")
    folder.mkdir()
    for number in range(count):
        source = found[number % len(found)].source
        (folder / f"{number:05}{source.suffix}").write_bytes(source.read_bytes())
    return folder


def _loop_s(settings: Settings, scans: Path, out: Path) -> float:
    plan = make_plan([scans], out)
    tasks: list[Task] = [make_task(number, photograph, out) for number, photograph in enumerate(plan.photographs)]
    with open_for(settings, usable_cores(), []) as runner:
        colourist = Colourist(runner, settings)
        start = time.perf_counter()
        failed = [result.error for result in map(colourist.do, tasks) if result.error]
        seconds = time.perf_counter() - start
    if failed:
        raise ConfigError(f"{failed[0]}; take it out of the folder")
    return seconds


def _run_s(settings: Settings, scans: Path, out: Path, bundle: Bundle, jobs: int) -> float:
    with Manifest(out) as manifest, Processes(settings, jobs) as workers:
        return run(make_plan([scans], out), out, manifest, bundle.digest, workers).seconds
