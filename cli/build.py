"""`livetint build`: build a bundle for ONNX Runtime or as TensorRT plans, and print the accuracy it loses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..build_engine.accuracy_report import Accuracy
from ..build_engine.apply_precision import PRECISIONS, measured_dialect
from ..build_engine.plan_cache import build_plans, cache_key, static_graphs, why_stale
from ..build_engine.plan_inspector import built_layers
from ..build_engine.plans import Graph, PlanOptions, check_options, network_layers
from ..build_engine.prepare import (
    bundle_at_precision,
    check_accuracy,
    check_plans_accuracy,
    default_target,
    onnxruntime_folder,
    prepare_for_onnxruntime,
    write_onnxruntime,
)
from ..build_engine.quantise import bytes_by_type
from ..build_engine.tensorrt_versions import compute_capability, load_target
from ..calibration.ranges import Ranges, load_ranges
from ..engine.bundle import Bundle
from ..engine.errors import RunnerError
from ..engine.models import find_model
from ..engine.runners.tensorrt.plan_folder import cached_folder, verified_plan
from ..engine.runners.tensorrt.versions import TARGETS, LoadedTarget, cross_building_targets, installed_targets
from .progress import Bars

ONNXRUNTIME = "onnxruntime"
_CAPABILITIES = "; ".join(f"for {name}: {', '.join(known)}" for name, known in cross_building_targets().items())


@click.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder; the user's cache if not given.")
@click.option(
    "--precision",
    type=click.Choice(["auto", *PRECISIONS]),
    default="auto",
    show_default=True,
    help="auto: the fastest that stays within the limit of lost accuracy.",
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
@click.option("--optimisation", type=click.IntRange(0, 5), help="TensorRT's builder optimisation level.")
@click.option("--hardware-compatibility", "hardware", default="", metavar="LEVEL", help="AMPERE_PLUS, …")
@click.option("--version-compatible", is_flag=True, help="Build plans that later versions of TensorRT can run.")
@click.option("--inspect", is_flag=True, help="Print layers, precisions and sizes.")
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
    inspect: bool,
    force: bool,
) -> None:
    """Build MODEL for a back end and print the accuracy it loses. A build that is up to date is kept."""
    bundle = find_model(model)
    ranges = load_ranges(ranges_file) if ranges_file else None
    target = target or default_target(installed_targets())
    if target == ONNXRUNTIME:
        _build_for_onnxruntime(bundle, output, precision, ranges, inspect, force)
        return
    loaded = load_target(target)
    # No plan has run yet, so auto knows no speeds. It takes fp16, which loses almost nothing.
    precision = "fp16" if precision == "auto" else precision
    options = PlanOptions(precision, workspace_mib, optimisation, hardware, version_compatible, capabilities)
    check_options(loaded, options)
    _build_plans(bundle, output or cached_folder(bundle, target), loaded, options, ranges, inspect, force)


def _build_for_onnxruntime(
    bundle: Bundle, output: Path | None, precision: str, ranges: Ranges | None, inspect: bool, force: bool
) -> None:
    prepared = prepare_for_onnxruntime(bundle, precision, ranges, force, _say)
    folder = output or onnxruntime_folder(bundle, prepared.precision)
    write_onnxruntime(folder, bundle, prepared)
    click.echo(f"wrote {folder}: use it with --model {output or folder.name}")
    if inspect:
        for name, data in prepared.converted.files.items():
            sizes = ", ".join(f"{kind} {size / 1e6:.2f} MB" for kind, size in bytes_by_type(data).items())
            click.echo(f"  {name}: {len(data) / 1e6:.1f} MB ({sizes})")


def _build_plans(
    bundle: Bundle,
    folder: Path,
    target: LoadedTarget,
    options: PlanOptions,
    ranges: Ranges | None,
    inspect: bool,
    force: bool,
) -> None:
    dialect, capability = target.traits.dialect, compute_capability()
    converted = bundle_at_precision(bundle, options.precision, dialect, ranges)
    graphs = static_graphs(converted, options.precision)
    current, _ = why_stale(folder, bundle, target, capability, cache_key(graphs, target, capability, options))
    if current is not None and not force:
        manifest, built = current, False
    else:
        measured = converted
        if measured_dialect(dialect) != dialect:
            measured = bundle_at_precision(bundle, options.precision, measured_dialect(dialect), ranges)
        accuracy = check_accuracy(measured, bundle, options.precision, dialect, force, _say).accuracy
        with Bars() as bars:
            manifest, built = build_plans(
                bundle, graphs, folder, target, options, capability,
                accuracy=_numbers(accuracy), say=_say, progress=lambda title: _follow(bars, title), force=force,
            )  # fmt: skip
        if built:
            check_plans_accuracy(bundle, folder, options.precision, force, _say)
    click.echo(f"{'built' if built else 'up to date'}: {len(manifest.plans)} {manifest.precision} plans in {folder}")
    for plan in manifest.plans:
        hints = f" for {plan.hints} hints" if plan.hints else ""
        click.echo(f"  {plan.stage}{hints}: {plan.bytes / 1e6:.1f} MB")
    if inspect:
        _print_layers(target, graphs, [verified_plan(folder, plan) for plan in manifest.plans])


def _print_layers(target: LoadedTarget, graphs: list[Graph], plans: list[bytes]) -> None:
    """The layers of the plans, or those of the networks before the build where a plan cannot be loaded here."""
    for graph, plan in zip(graphs, plans, strict=True):
        try:
            layers, source = [layer.info for layer in built_layers(target, plan)], "plan"
        except RunnerError:
            layers, source = network_layers(target, graph.onnx), "network; its plan cannot be loaded here"
        click.echo(f"{graph.title} ({source}):")
        for layer in layers:
            shape = "×".join(map(str, layer.shape))
            click.echo(f"  {layer.precision:<6} {shape:<16} {layer.kind:<16} {layer.name}")


def _follow(bars: Bars, title: str) -> Callable[[str, int, int], None]:
    return lambda phase, done, total: bars.set(f"{title}: {phase}"[:40], done, total)


def _numbers(accuracy: Accuracy) -> dict[str, float]:
    return {"max_ab": accuracy.max_ab, "mean_ab": accuracy.mean_ab, "delta_e": accuracy.delta_e,
            "lost_db": accuracy.lost_db}  # fmt: skip


def _say(line: str) -> None:
    click.echo(line, err=True)
