"""`livetint build`: build a bundle for ONNX Runtime or as TensorRT plans, and print the accuracy it loses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..build_engine.accuracy_report import example_cases
from ..build_engine.apply_precision import PRECISIONS
from ..build_engine.compare_layers import compare_layers, example_feeds
from ..build_engine.plan_builder import HINT_STAGE_LEVEL, NETWORK_LEVEL
from ..build_engine.plan_inspector import built_layers
from ..build_engine.plan_job import PlanJob
from ..build_engine.plan_job import build as build_job
from ..build_engine.plans import Graph, PlanOptions, Progress, check_options, network_layers
from ..build_engine.prepare import default_target, onnxruntime_folder, prepare_for_onnxruntime, write_onnxruntime
from ..build_engine.quantise import bytes_by_type
from ..build_engine.tensorrt_versions import compute_capability, load_target
from ..calibration.ranges import Ranges, load_ranges
from ..engine.bundle import Bundle
from ..engine.errors import ConfigError, RunnerError
from ..engine.files import check_keeps
from ..engine.models import find_model
from ..engine.runners.tensorrt.plan_folder import Plan, cached_folder, verified_plan
from ..engine.runners.tensorrt.versions import TARGETS, LoadedTarget, cross_building_targets, installed_targets
from .progress import Bars

ONNXRUNTIME = "onnxruntime"
COMPARED_PHOTOGRAPHS = 2  # of --compare-layers
_CAPABILITIES = "; ".join(f"for {name}: {', '.join(known)}" for name, known in cross_building_targets().items())


@click.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder; the user's cache if not given.")
@click.option(
    "--precision",
    type=click.Choice(["auto", *PRECISIONS]),
    default="auto",
    show_default=True,
    help="auto: the fastest that stays within the limits of lost accuracy (docs/building.md).",
)
@click.option(
    "--target", type=click.Choice([ONNXRUNTIME, *TARGETS]), help="Back end; the best one installed if not given."
)
@click.option(
    "--ranges",
    "ranges_file",
    type=click.Path(path_type=Path),
    help="Ranges for INT8; those of the bundle if not given.",
)
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    metavar="X.Y",
    help=f"GPU to build for ({_CAPABILITIES}); may be given many times.",
)
@click.option("--workspace-mib", type=click.IntRange(16), default=1024, show_default=True, help="Scratch memory.")
@click.option(
    "--optimisation",
    type=click.IntRange(0, 5),
    help=f"TensorRT's builder optimisation level; if not given, {NETWORK_LEVEL}, but {HINT_STAGE_LEVEL} for stages of "
    "a touch.",
)
@click.option("--hardware-compatibility", "hardware", default="", metavar="LEVEL", help="AMPERE_PLUS, …")
@click.option("--version-compatible", is_flag=True, help="Build plans that later versions of TensorRT can run.")
@click.option("--all-plans", is_flag=True, help="Also build plans of stages that the CUDA kernels serve.")
@click.option("--inspect", is_flag=True, help="Print layers, precisions and sizes.")
@click.option(
    "--compare-layers",
    "layers",
    is_flag=True,
    help="Build nothing; name the first layer that TensorRT computes differently from ONNX Runtime.",
)
@click.option("--force", is_flag=True, help="Build even if nothing changed or too much accuracy is lost.")
def build(
    model: str,
    output: Path | None,
    precision: str,
    target: str | None,
    ranges_file: Path | None,
    capabilities: tuple[str, ...],
    workspace_mib: int,
    optimisation: int | None,
    hardware: str,
    version_compatible: bool,
    all_plans: bool,
    inspect: bool,
    layers: bool,
    force: bool,
) -> None:
    """Build MODEL for a back end and print the accuracy it loses. A build that is up to date is kept."""
    bundle = find_model(model)
    ranges = load_ranges(ranges_file) if ranges_file else None
    target = target or default_target(installed_targets())
    if target == ONNXRUNTIME:
        if layers:
            raise ConfigError("--compare-layers compares TensorRT with ONNX Runtime; name a --target for TensorRT")
        _build_for_onnxruntime(bundle, output, precision, ranges, inspect, force)
        return
    loaded = load_target(target)
    options = PlanOptions(precision, workspace_mib, optimisation, hardware, version_compatible, capabilities)
    check_options(loaded, options)
    folder = output or cached_folder(bundle, target)
    job = PlanJob(bundle, folder, loaded, options, compute_capability(), ranges, all_plans, force, _say)
    if layers:
        _compare_layers(job)
    else:
        _build_plans(job, inspect)


def _build_for_onnxruntime(
    bundle: Bundle, output: Path | None, precision: str, ranges: Ranges | None, inspect: bool, force: bool
) -> None:
    if output is not None:
        check_keeps(output, (bundle.folder,))
    prepared = prepare_for_onnxruntime(bundle, precision, ranges, force, _say)
    folder = output or onnxruntime_folder(bundle, prepared.precision)
    write_onnxruntime(folder, bundle, prepared)
    click.echo(f"wrote {folder}: use it with --model {output or folder.name}")
    if inspect:
        for name, data in prepared.converted.files.items():
            sizes = ", ".join(f"{kind} {size / 1e6:.2f} MB" for kind, size in bytes_by_type(data).items())
            click.echo(f"  {name}: {len(data) / 1e6:.1f} MB ({sizes})")


def _build_plans(job: PlanJob, inspect: bool) -> None:
    with Bars() as bars:
        manifest, built = build_job(replace(job, progress=lambda title: _follow(bars, title)))
    kind = manifest.rung if manifest.rung == manifest.precision else f"{manifest.precision} ({manifest.rung})"
    click.echo(f"{'built' if built else 'up to date'}: {len(manifest.plans)} {kind} plans in {job.folder}")
    for plan in manifest.plans:
        click.echo(f"  {_plan_line(plan)}")
    if inspect:
        graphs = job.graphs(job.rung(manifest.rung))
        for plan in manifest.plans:
            graph = next(graph for graph in graphs if graph.stage == plan.stage and graph.hints >= plan.hints)
            _print_layers(job.target, plan.title, graph, verified_plan(job.folder, plan))


def _compare_layers(job: PlanJob) -> None:
    """Print the first layer that differs and what was measured. The exit code is 1 if there is one."""
    rung = job.rungs[0]
    feeds = example_feeds(job.bundle, example_cases()[:COMPARED_PHOTOGRAPHS])
    different = False
    for graph in (graph for graph in job.graphs(rung) if graph.stage in ("encoder", "colour")):
        found = compare_layers(job.target, graph, job.options_of(rung), feeds, _say)
        different = different or found.wrong is not None
        click.echo(f"{graph.title}, {rung.name}, {found.builds} builds; error over deviation (limit {found.limit}):")
        for row in found.measured:
            click.echo(f"  {row.error:>8.4f}{' *' if row.error > found.limit else '  '} {row.kind:<18} {row.tensor}")
        if found.wrong is None:
            click.echo("no output of the graph differs from ONNX Runtime")
        elif len(found.block) == 1:
            click.echo(f"the first layer that differs: {found.wrong.kind} {found.wrong.node}, whose inputs are right")
        else:
            click.echo(f"one of {len(found.block)} layers differs, and is right when outputs inside are marked:")
            click.echo("  " + "\n  ".join(found.block))
    if different:
        raise click.exceptions.Exit(1)


def _print_layers(target: LoadedTarget, title: str, graph: Graph, plan: bytes) -> None:
    """The layers of a plan, or those of its network before the build where the plan cannot be loaded here."""
    try:
        layers, source = [layer.info for layer in built_layers(target, plan)], "plan"
    except RunnerError:
        layers, source = network_layers(target, graph.onnx), "network; its plan cannot be loaded here"
    click.echo(f"{title} ({source}):")
    for layer in layers:
        shape = "×".join(map(str, layer.shape))
        click.echo(f"  {layer.precision:<6} {shape:<16} {layer.kind:<16} {layer.name}")


def _plan_line(plan: Plan) -> str:
    hints = f" for {'up to ' if plan.dynamic else ''}{plan.hints} hints" if plan.hints else ""
    return f"{plan.stage}{hints}: {plan.bytes / 1e6:.1f} MB, {plan.seconds:.1f} s at level {plan.optimisation}"


def _follow(bars: Bars, title: str) -> Progress:
    """Show a bar for a plan at once, because TensorRT 8 reports no steps, or write a line where there are no bars."""
    if not bars.shown:
        _say(f"building {title}…")
    bars.set(title, 0, 0)
    return lambda phase, done, total: bars.set(title, done, total, phase[:16])


def _say(line: str) -> None:
    click.echo(line, err=True)
