"""`livetint train`: train the network that a TOML file describes."""

from __future__ import annotations

from pathlib import Path

import click

from ..engine.errors import ConfigError
from .progress import Bars


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint of this run.")
@click.option("--init", metavar="BUNDLE", help="Start from a bundle's weights (name or folder).")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Spread what is left of the run over this time."
)
@click.option("--benchmark", "measure", is_flag=True, help="Only measure how many pictures a second it takes.")
def train(config: Path, resume: bool, init: str | None, minutes: float | None, measure: bool) -> None:
    """Train the network that CONFIG describes. Its output folder receives checkpoints, a log and a bundle."""
    try:
        from ..build_engine.gate import check_new_bundle
        from ..training.benchmark import benchmark
        from ..training.config import load_config
        from ..training.run import run
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'livetint[train]'") from error
    if measure:
        for rate in benchmark(load_config(config)):
            click.echo(str(rate))
        return
    with Bars() as bars:
        bundle = run(
            config, resume, init, minutes * 60 if minutes else None,
            progress=lambda done, total, checkpoint: bars.set(config.stem, done, total, checkpoint),
        )  # fmt: skip
    click.echo(f"wrote {bundle.folder}")
    check_new_bundle(bundle, click.echo)
