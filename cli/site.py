"""`livetint site`: publish an exhibition as static files that any web server can serve."""

from __future__ import annotations

from pathlib import Path

import click

from ..engine.models import DEFAULT_MODEL, find_model
from ..kiosk.settings import LANGUAGES
from ..kiosk.site.build import SiteOptions, SiteReport, build_site
from ..kiosk.site.features import BITS, DEFAULT_BITS
from ..kiosk.site.licence import check_accepted
from .progress import Bars


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write; one that an earlier run wrote is replaced.",
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    type=click.Choice(LANGUAGES),
    help="A language to offer; may be given many times. Without it, all.",
)
@click.option(
    "--bits",
    type=click.Choice([str(bits) for bits in BITS]),
    default=str(DEFAULT_BITS),
    show_default=True,
    help="Bits of each of a photograph's features: fewer make a smaller site.",
)
@click.option(
    "--full-size",
    is_flag=True,
    help="Let visitors save pictures at the full size of the photographs, not at 2048 pixels.",
)
@click.option("--accept-licence", is_flag=True, help="Accept the licence of the model's weights, which are published.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of a bundle.")
def site(
    photos: Path,
    output: Path,
    languages: tuple[str, ...],
    bits: str,
    full_size: bool,
    accept_licence: bool,
    model: str,
) -> None:
    """Publish the exhibition of the folder PHOTOS as static files: visitors colour it in their own browsers.

    Any web server can serve the files, under any path (docs/site.md).
    """
    bundle = find_model(model)
    check_accepted(bundle, accept_licence)
    options = SiteOptions(tuple(dict.fromkeys(languages)) or LANGUAGES, int(bits), full_size)
    with Bars() as bars:
        report = build_site(
            photos, output, bundle, options,
            progress=lambda done, total: bars.set("photographs", done, total),
            leave_out=lambda sentence: click.echo(f"left out: {sentence}", err=True),
        )  # fmt: skip
    _print(output, report, bundle.manifest.licence)


def _print(output: Path, report: SiteReport, licence: str) -> None:
    """Print what was written, what visitors load, and what the publisher has to know."""
    pictures = "1 photograph" if report.pictures == 1 else f"{report.pictures} photographs"
    click.echo(f"{output}: {pictures}, {_mb(report.total)} in {report.files} files")
    rest = "the rest" if report.all_kept else "what all photographs share, and their thumbnails,"
    click.echo(
        f"a first visit loads {_mb(report.first_visit)}, and {rest} in the background ({_mb(report.kept)} in all), "
        "so that it works without a network afterwards"
    )
    click.echo("over plain HTTP it works without that part: browsers allow it over HTTPS, and on this machine")
    click.echo(f"the page names the licence of the weights: {licence}")
    click.echo(f"to look at it: python3 -m http.server --directory {output}")


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
