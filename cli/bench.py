"""`livetint bench`: latency and accuracy, as numbers that can be quoted."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..engine.errors import ConfigError
from ..engine.files import atomic_write, check_place
from ..engine.models import find_model
from ..engine.runners.base import Runner
from ..engine.runners.onnx import OnnxRunner, default_threads
from ..engine.runners.open import open_runner as runner_for
from .options import model_options, open_runner

if TYPE_CHECKING:
    from ..bench.accuracy.curve import Accuracy
    from ..bench.accuracy.protocols import Picture

MAX_POINTS = 10_000
MAX_THREADS = 512


@click.group()
def bench() -> None:
    """Measure latency and accuracy."""


@bench.command()
@click.option("--photos", required=True, type=click.Path(path_type=Path), help="Folder or tar of photographs.")
@click.option("--hints", default="0,1,10,100", show_default=True, help="Numbers of points, with commas.")
@click.option("--protocol", type=click.Choice(["zhang17", "icolorit"]), default="zhang17", show_default=True)
@click.option("--draws", type=click.IntRange(1, 100), default=1, show_default=True, help="Draws of the points.")
@click.option("--global", "global_kinds", multiple=True, type=click.Choice(["hist", "sat", "both"]),
              help="Also reveal the truth's statistics, without points; may be given again.")  # fmt: skip
@click.option("--baselines", default="grey", show_default=True, help="grey, levin: with commas.")
@click.option("--extras", is_flag=True,
              help="Also colour at hints, reach, bleeding, steadiness, suggestions, the novice.")  # fmt: skip
@click.option("--regions", is_flag=True,
              help="Also recolour one thing in every photograph, touch it, and see what else moves.")  # fmt: skip
@click.option("--where", is_flag=True,
              help="Also touch the places that the network names, beside as many random ones.")  # fmt: skip
@click.option("--aged", is_flag=True, help="Also the same points on light that is aged like old prints.")
@click.option("--beside", multiple=True, metavar="FOLDER",
              help="Another build of the model, coloured with the same points; may be given again.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Only the first N photographs.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything measured to a file.")
@model_options
def accuracy(
    photos: Path,
    hints: str,
    protocol: str,
    draws: int,
    global_kinds: tuple[str, ...],
    baselines: str,
    extras: bool,
    regions: bool,
    where: bool,
    aged: bool,
    beside: tuple[str, ...],
    limit: int | None,
    json_file: Path | None,
    model: str,
    device: str,
) -> None:
    """PSNR against the number of points, beside baselines on the same photographs and points."""
    from ..bench.accuracy import curve as bench_accuracy
    from ..bench.accuracy.protocols import PROTOCOLS
    from ..bench.environment import machine, model_digest, model_table, versions
    from ..bench.progress import Bar

    check_place(json_file)
    plan = bench_accuracy.Plan(
        PROTOCOLS[protocol],
        _counts(hints),
        draws,
        tuple(dict.fromkeys(global_kinds)),
        bench_accuracy.check_baselines(_words(baselines)),
    )
    number = bench_accuracy.count_photographs(photos, limit)
    with ExitStack() as open_ones:
        runner = open_ones.enter_context(open_runner(model, device))
        side = runner.bundle.manifest.input.working_size[0]
        with Bar("colouring", number) as bar:
            stream = bench_accuracy.pictures(photos, plan.protocol, side, limit)
            others = {name: open_ones.enter_context(open_runner(name, device)) for name in beside}
            clean = bench_accuracy.measure(runner, stream, plan, bar.step, others)
        table = bench_accuracy.as_table(clean, side)
        lines = bench_accuracy.as_lines(table)
        if extras:
            table["extras"], more = _extras(runner, photos, limit, number)
            lines += "\n" + more
        if regions:
            found, more = _regions(runner, photos, limit, number, "levin" in plan.baselines)
            table, lines = table | found, lines + "\n" + more
        if where:
            table["where"], more = _where(runner, photos, limit, number)
            lines += "\n" + more
        if aged:
            table["aged"], more = _aged(runner, photos, limit, number, clean)
            lines += "\n" + more
        table["model"] = model_table(runner.bundle)
        table["model_sha256"] = model_digest(runner.bundle)
    table |= {"machine": machine(), "versions": versions(), "command": _command()}
    _finish(json_file, table, lines)


@contextmanager
def _photographs(
    doing: str, runner: Runner, photos: Path, limit: int | None, number: int, protocol: str = "zhang17"
) -> Iterator[tuple[Iterator[Picture], Callable[[], object]]]:
    """The photographs once more under a bar of their own, which the second thing given moves by one. At the network's
    own size, whatever the protocol of the curve, unless one is named."""
    from ..bench.accuracy import curve as bench_accuracy
    from ..bench.accuracy.protocols import PROTOCOLS
    from ..bench.progress import Bar

    side = runner.bundle.manifest.input.working_size[0]
    with Bar(doing, number) as bar:
        yield bench_accuracy.pictures(photos, PROTOCOLS[protocol], side, limit), bar.step


def _extras(runner: Runner, photos: Path, limit: int | None, number: int) -> tuple[dict[str, Any], str]:
    from ..bench.accuracy import curve as bench_accuracy
    from ..bench.accuracy import extras
    from ..bench.accuracy.protocols import PROTOCOLS

    with _photographs("extras", runner, photos, limit, number) as (stream, tick):
        tally = extras.measure_extras(runner, stream, PROTOCOLS["zhang17"], bench_accuracy.SEED, tick)
    table = extras.as_table(tally)
    return table, extras.as_lines(table)


def _regions(runner: Runner, photos: Path, limit: int | None, number: int, levin: bool) -> tuple[dict[str, Any], str]:
    """The thing and only the thing, and two colours in one thing."""
    from ..bench.accuracy import opposites, regions

    with _photographs("touching things", runner, photos, limit, number) as (stream, tick):
        touched = regions.as_table(*regions.measure_regions(runner, regions.things(stream), levin, tick))
    with _photographs("opposing hints", runner, photos, limit, number) as (stream, tick):
        opposed = opposites.as_table(opposites.measure_opposites(runner, stream, levin, tick))
    return {"regions": touched, "opposites": opposed}, regions.as_lines(touched) + "\n" + opposites.as_lines(opposed)


def _aged(runner: Runner, photos: Path, limit: int | None, number: int, clean: Accuracy) -> tuple[dict[str, Any], str]:
    """The points of the clean run again, on aged light."""
    from ..bench.accuracy import aging
    from ..bench.accuracy import curve as bench_accuracy

    plan = replace(clean.plan, global_kinds=(), baselines=())
    with _photographs("colouring old prints", runner, photos, limit, number, plan.protocol.name) as (stream, tick):
        table = aging.as_table(clean, bench_accuracy.measure(runner, aging.aged_pictures(stream), plan, tick))
    return table, aging.as_lines(table)


def _where(runner: Runner, photos: Path, limit: int | None, number: int) -> tuple[dict[str, Any], str]:
    """Places named by the network against random ones."""
    from ..bench.accuracy import next_touch
    from ..bench.accuracy.protocols import PROTOCOLS

    with _photographs("choosing places", runner, photos, limit, number) as (stream, tick):
        tally = next_touch.measure_where(runner, stream, PROTOCOLS["zhang17"], tick)
    table = next_touch.as_table(tally)
    return table, next_touch.as_lines(table)


@bench.command()
@click.option("--hints", default="16,128", show_default=True, help="Numbers of hints, with commas.")
@click.option("--against", help="siggraph17 (bare topology, random weights) or another model, timed in turns.")
@click.option("--touches", type=click.IntRange(8, 1_000_000), default=1024, show_default=True,
              help="Touches for every number of hints.")  # fmt: skip
@click.option("--scenario", type=click.Choice(["single-stream", "after-idle", "open-loop"]),
              default="single-stream", show_default=True,
              help="after-idle: one touch a second; open-loop: touches at 60, 120 and 240 Hz.")  # fmt: skip
@click.option("--roofline", is_flag=True, help="Also count the work and say how near to the machine's roof it runs.")
@click.option("--threads", "threads_text", default="all", show_default=True,
              help="Threads of the CPU; others after a comma are timed beside the first: all,1,2.")  # fmt: skip
@click.option(
    "--beside",
    multiple=True,
    metavar="FOLDER",
    help="Another build of the model, as `livetint build` wrote it, timed in turns; may be given again.",
)
@click.option("--peers", is_flag=True,
              help="Also time the same network in other run times, and Levin's optimiser.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything measured to a file.")
@model_options
def latency(
    hints: str,
    against: str | None,
    touches: int,
    scenario: str,
    roofline: bool,
    threads_text: str,
    beside: tuple[str, ...],
    peers: bool,
    json_file: Path | None,
    model: str,
    device: str,
) -> None:
    """How long a touch takes: in stages, to ab, and to full-resolution pixels."""
    from ..bench.latency import run

    check_place(json_file)
    numbers = _counts(hints)
    threads, *more_threads = _threads(threads_text)
    for option, value in (("--against", against), ("--beside", beside), ("--peers", peers)):
        if scenario != "single-stream" and value:
            raise ConfigError(f"{option} is timed in single-stream only; leave it out with --scenario {scenario}")
    with ExitStack() as open_ones:
        runner = open_ones.enter_context(_runner(model, device, threads))
        if scenario == "single-stream":
            asked = [(f"{n} thread{'s' * (n > 1)}", model, "cpu", n) for n in more_threads]
            asked += [(name, name, device, threads) for name in beside]
            sides = [
                run.Beside(label, open_ones.enter_context(_runner(name, where, n)), n)
                for label, name, where, n in asked
            ]
            company = run.Company(_other(against, threads), tuple(sides), peers)
            table, lines = run.run(runner, numbers, threads, touches, company)
        else:
            table, lines = run.run_scenario(runner, numbers, threads, scenario)
        if roofline:
            table["roofline"], more = run.roofline(runner, numbers, table["stages"])
            lines += "\n" + more
    _finish(json_file, table | {"command": _command()}, lines)


@bench.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The HTML page to write.")
@click.option(
    "--markdown",
    "markdown_file",
    type=click.Path(path_type=Path),
    help="Markdown to write; an existing file is updated between <!-- bench --> and <!-- /bench -->.",
)
@click.option("--compare", "old", type=click.Path(path_type=Path),
              help="An older latency result: is this build slower?")  # fmt: skip
def report(results: tuple[Path, ...], output: Path | None, markdown_file: Path | None, old: Path | None) -> None:
    """A page and tables from RESULTS, the files of `bench latency|accuracy --json`.

    With --compare the exit code is 1 when a stage has become slower beyond doubt.
    """
    from ..bench.report import page as bench_report
    from ..bench.report.compare import SLOWER, compare, overall

    for path in (output, markdown_file):
        check_place(path)
    tables = [bench_report.read_result(path) for path in results]
    changes = []
    if old is not None:
        new = next((table for table in tables if table["kind"] == "latency"), None)
        if new is None:
            raise ConfigError("--compare needs a latency result among RESULTS")
        changes = compare(bench_report.read_result(old), new)
    text = bench_report.markdown(tables, changes)
    if markdown_file is not None:
        before = markdown_file.read_text("utf-8") if markdown_file.is_file() else None
        shown = bench_report.markdown(tables, changes, brief=before is not None)
        atomic_write(markdown_file, bench_report.into_markdown(before, shown).encode())
    if output is not None:
        atomic_write(output, bench_report.page(tables, changes).encode())
    click.echo(text, nl=False)
    if overall(changes) == SLOWER:
        sys.exit(1)


def _runner(model: str, device: str, threads: int) -> Runner:
    return runner_for(find_model(model), device, threads, say=lambda line: click.echo(line, err=True))


def _other(name: str | None, threads: int) -> Runner | None:
    if name is None:
        return None
    from ..bench.latency.untrained import NAME, bare_bundle

    return OnnxRunner(bare_bundle() if name == NAME else find_model(name), threads)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _threads(text: str) -> list[int]:
    """`all,1,2` → numbers of threads, each once, in the order given. Raises ConfigError."""
    words = [str(default_threads()) if word == "all" else word for word in _words(text)]
    if not words or not all(word.isdecimal() and 1 <= int(word) <= MAX_THREADS for word in words):
        raise ConfigError(f"--threads {text!r} is not possible; write numbers from 1 to {MAX_THREADS}, or all")
    return list(dict.fromkeys(int(word) for word in words))


def _counts(text: str) -> tuple[int, ...]:
    """`0,1,10` → numbers, each once, rising. Raises ConfigError."""
    try:
        counts = sorted({int(word) for word in _words(text)})
    except ValueError as error:
        raise ConfigError(f"--hints {text!r} is no list of whole numbers; write for instance 0,1,10,100") from error
    if not counts:
        raise ConfigError("--hints is empty; write for instance 0,1,10,100")
    if not 0 <= counts[0] <= counts[-1] <= MAX_POINTS:
        raise ConfigError(f"--hints {text!r} is out of range; numbers run from 0 to {MAX_POINTS}")
    return tuple(counts)


def _finish(path: Path | None, table: dict[str, Any], lines: str) -> None:
    if path is not None:
        atomic_write(path, (json.dumps(table, indent=1, allow_nan=False) + "\n").encode())
    click.echo(lines)


def _command() -> str:
    return shlex.join(["livetint", *sys.argv[1:]])
