"""`livetint calibrate`: activation ranges for INT8, and the layers that must stay in floats."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from ..build_engine.accuracy_report import example_cases, example_photographs
from ..build_engine.sensitivity import (
    DEFAULT_SAMPLES,
    HELD_OUT,
    add_ranges,
    choose_layers,
    held_out_cases,
    measure_ranges,
)
from ..calibration.ranges import save_ranges
from ..engine.errors import ConfigError
from ..engine.files import atomic_write, check_writable
from ..engine.models import find_model
from ..engine.runners.sessions import default_threads
from .progress import Bars


@click.command()
@click.argument("model")
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    help="Folder or tar of colour photographs. Without it the bundled ones serve, which are few.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the ranges (RANGES.json).")
@click.option("--into-bundle", is_flag=True, help="Write ranges.json and sensitivity.json into MODEL's folder.")
@click.option(
    "--samples", type=click.IntRange(1), default=DEFAULT_SAMPLES, show_default=True, help="Simulated visits to measure."
)
@click.option(
    "--sweep/--no-sweep", default=True, show_default=True, help="Compare methods, and quantise each layer alone."
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; one for each core (at most 8) if not given.")
def calibrate(
    model: str,
    photos: Path | None,
    output: Path | None,
    into_bundle: bool,
    samples: int,
    sweep: bool,
    threads: int | None,
) -> None:
    """Measure activation ranges of MODEL on photographs with simulated visitors."""
    if output is None and not into_bundle:
        raise ConfigError("there is nowhere to write the ranges; give -o RANGES.json or --into-bundle")
    check_writable(output, (photos,))
    bundle = find_model(model)
    threads = threads or default_threads()
    table = None
    with Bars() as bars:
        held_out = HELD_OUT if photos else 0
        ranges = measure_ranges(bundle, photos or example_photographs(), samples, held_out, threads, bars.tick)
        if sweep:
            cases = held_out_cases(photos) if photos else example_cases()
            ranges, table = choose_layers(bundle, ranges, cases, threads, bars.tick)
    if output is not None:
        save_ranges(output, ranges)
        if table is not None:
            rows = msgspec.json.format(msgspec.json.encode(table), indent=1)
            atomic_write(output.with_name(f"{output.stem}-sensitivity.json"), rows + b"\n")
        click.echo(f"wrote {output}")
    if into_bundle:
        click.echo(f"wrote the ranges into {add_ranges(bundle, ranges, table).folder}")
    if ranges.choice is not None:
        choice = ranges.choice
        lost = ", ".join(f"{name} {choice.mean_ab[name]:.3f} ({db:+.3f} dB)" for name, db in choice.lost_db.items())
        kept = ", ".join(choice.keep) or "none"
        click.echo(f"best method {choice.method}, by mean |Δab| and dB lost: {lost}; layers left in floats: {kept}")
