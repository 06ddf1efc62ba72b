"""`livetint colorize FOLDER... -o FOLDER`: a whole archive, with a manifest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ..archive.cluster import Cluster
from ..archive.colour import Settings
from ..archive.jobs import Processes
from ..archive.manifest import Manifest
from ..archive.plan import Plan, make_plan, named
from ..archive.run import Summary, check_outputs, run
from ..engine.bundle import Bundle
from ..engine.cores import usable_cores
from ..engine.errors import ConfigError
from ..engine.files import sha256_of
from ..engine.hints import Hint
from ..engine.image.compose import check_strength
from ..engine.image.photo import check_limit
from ..engine.models import find_model
from ..engine.runners.base import check_hints, check_vivid
from .options import SessionOptions, read_file, reference_histogram
from .progress import Bars


@dataclass(frozen=True)
class ArchiveOptions:
    """Values of the options of `colorize` that the session does not take.

    cluster: an address, or "". jobs: None if not given.
    """

    upsampling: str
    strength: float | None
    overwrite: bool
    keep_location: bool
    depth: int
    cluster: str
    jobs: int | None


def colorize_archive(sources: Sequence[Path], out: Path, options: SessionOptions, how: ArchiveOptions) -> None:
    """Colour all photographs of `sources` into the folder `out`. Exit code 1 if any failed."""
    plan = make_plan(sources, out, how.depth)
    if not plan.photographs and not plan.unreadable:
        raise ConfigError(f"there is no photograph in {named(map(str, sources))}; check the path")
    bundle = find_model(options.model)
    settings = _settings(bundle, options, how)
    with Manifest(out) as manifest:
        check_outputs(plan, out, manifest, how.overwrite)
        for line in plan.passed_over:
            click.echo(f"passed over: {line}", err=True)
        try:
            with _workers(settings, plan, out, how) as workers, Bars() as bars:
                for line in workers.said:
                    click.echo(line, err=True)
                summary = run(
                    plan, out, manifest, bundle.digest, workers, how.overwrite,
                    lambda done, total: bars.set("photographs", done, total),
                )  # fmt: skip
        except KeyboardInterrupt:
            click.echo("what was done is kept; the same command goes on from there", err=True)
            raise
    _print(summary, plan, out, f"on the {workers.device}, {_how_many(workers)}")
    if summary.failures:
        sys.exit(1)


def default_jobs() -> int:
    """One process for two cores: decoding and encoding use one core, the network uses two well."""
    return max(1, usable_cores() // 2)


def _workers(settings: Settings, plan: Plan, out: Path, how: ArchiveOptions) -> Processes | Cluster:
    """Who colours. There is at least one photograph, or none and a folder that could not be read."""
    if how.cluster and plan.photographs:
        return Cluster(settings, how.cluster, out, plan.photographs[0].source, how.jobs)
    return Processes(settings, min(how.jobs or default_jobs(), max(1, len(plan.photographs))))


def _how_many(workers: Processes | Cluster) -> str:
    if isinstance(workers, Cluster):
        return f"{workers.jobs} tasks at once on {workers.machines} machine{'s' if workers.machines > 1 else ''}"
    return "1 process" if workers.jobs == 1 else f"{workers.jobs} processes"


def _settings(bundle: Bundle, options: SessionOptions, how: ArchiveOptions) -> Settings:
    """The settings of all processes. Raises what a photograph would raise because of them."""
    histogram = reference_histogram(options)
    # Machines of a cluster may have a model of this name in another place.
    by_name = how.cluster and not Path(options.model).is_dir()
    settings = Settings(
        options.model if by_name else str(bundle.folder.resolve()),
        options.device,
        read_file(options.hints_file).decode("utf-8", "replace") if options.hints_file else "",
        options.vivid,
        how.strength,
        options.saturation,
        None if histogram is None else [float(share) for share in histogram],
        sha256_of(read_file(options.reference)) if options.reference else "",
        how.upsampling,
        options.max_megapixels,
        how.keep_location,
        how.depth,
    )
    edits = settings.edits_with(None)
    # A stroke depends on the photograph under it.
    check_hints(bundle, [hint for hint in edits.hints if isinstance(hint, Hint)], edits.global_hints)
    check_vivid(bundle, edits.vivid)
    check_strength(edits.strength)
    check_limit(options.max_megapixels)
    return settings


def _print(summary: Summary, plan: Plan, out: Path, how: str) -> None:
    """Print what was done, and the failures last."""
    rate = f", {summary.coloured / summary.seconds:.1f} a second" if summary.coloured else ""
    parts = [
        f"{summary.coloured} coloured in {summary.seconds:.1f} s{rate} {how}",
        f"{summary.skipped} done before" if summary.skipped else "",
        f"{len(plan.passed_over)} passed over" if plan.passed_over else "",
        f"{len(summary.failures)} failed" if summary.failures else "",
    ]
    for note in summary.notes:
        click.echo(f"livetint: note: {note}", err=True)
    click.echo(f"{out}: " + "; ".join(filter(None, parts)), err=True)
    for failure in summary.failures:
        click.echo(f"failed: {failure}", err=True)
