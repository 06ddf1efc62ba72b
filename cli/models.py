"""`livetint models`: list, fetch and import model bundles."""

from __future__ import annotations

from pathlib import Path

import click

from ..build_engine.networks import TOPOLOGIES
from ..calibration.samples import EXAMPLE_SAMPLES
from ..engine.bundle import Bundle, load_manifest
from ..engine.errors import ConfigError, ModelFileError
from ..engine.files import check_keeps
from ..engine.models import DEFAULT_MODEL, bundled_folder, cache_folder, find_model, known_models
from .progress import Bars

_calibrate_option = click.option(
    "--calibrate",
    "samples",
    type=click.IntRange(0),
    default=EXAMPLE_SAMPLES,
    show_default=True,
    metavar="N",
    help="Simulated visits to the bundled photographs that ranges for INT8 are measured in; 0 for no ranges.",
)


@click.group()
def models() -> None:
    """List, fetch and import model bundles."""


@models.command("list")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
def list_models(folders: tuple[Path, ...]) -> None:
    """List the bundles that come with Livetint, those in the user's cache and those in FOLDERS."""
    found = {name: (folder, _place(folder)) for name, folder in known_models().items()}
    for root in folders:
        candidates = [root, *sorted(root.iterdir())] if root.is_dir() else [root]
        bundles = [folder for folder in candidates if (folder / "model.toml").is_file()]
        if not bundles:
            raise ModelFileError(f"there is no model bundle in {root}; name a bundle or a folder of bundles")
        found.update({str(folder): (folder, "given") for folder in bundles})
    if not found:
        click.echo("there are no models; fetch one: livetint models fetch siggraph17")
    for name, (folder, place) in sorted(found.items()):
        click.echo(_line(name, folder, place))


def _place(folder: Path) -> str:
    return "bundled" if bundled_folder() in folder.parents else "cached"


def _line(name: str, folder: Path, place: str) -> str:
    try:
        manifest = load_manifest(folder)
    except ModelFileError as error:
        return f"{name}  unusable: {error}"
    marks = [place, *(["default"] if name == DEFAULT_MODEL else []), *([] if manifest.trained else ["untrained"])]
    return f"{name}  {manifest.network} {manifest.version}  {', '.join(marks)}  licence: {manifest.licence}  {folder}"


def _calibrate(bundle: Bundle, samples: int) -> None:
    """Write ranges into a new bundle. If the user interrupts this, the bundle stays as it is."""
    from ..build_engine.sensitivity import calibrate_on_examples
    from ..engine.runners.sessions import default_threads

    if not samples:
        click.echo(f"without ranges for INT8; measure them: livetint calibrate {bundle.folder} --into-bundle")
        return
    click.echo("measuring ranges for INT8 on the bundled photographs; the bundle can be used meanwhile")
    with Bars() as bars:
        calibrate_on_examples(bundle, samples, default_threads(), bars.tick)
    click.echo("wrote the ranges; more photographs give better ones: livetint calibrate, docs/building.md")


@models.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--as", "network", required=True, type=click.Choice(list(TOPOLOGIES)), help="Network that the weights are for."
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new bundle.")
@click.option(
    "--mask",
    type=click.Choice(["auto", "zero-one", "centred"]),
    default="auto",
    show_default=True,
    help="Mask convention; auto recognises the published checkpoints.",
)
@click.option("--licence", default="that of the checkpoint", help="Licence of the weights, for model.toml.")
@_calibrate_option
def import_(checkpoint: Path, network: str, output: Path, mask: str, licence: str, samples: int) -> None:
    """Make a bundle from CHECKPOINT (.pth or .safetensors)."""
    from ..build_engine.checkpoint import import_checkpoint

    check_keeps(output, (checkpoint,))
    bundle = import_checkpoint(checkpoint, network, output, mask, licence)
    low, high = bundle.manifest.input.mask
    taken = f", mask {low:g} without and {high:g} with a hint" if bundle.manifest.input.local else ""
    click.echo(f"wrote {bundle.folder}: {network}{taken}; use it with --model {output}")
    _calibrate(bundle, samples)


class Numbers(click.ParamType):
    """Parameter type: numbers separated by commas."""

    name = "NUMBERS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value} is not a list of numbers; write them as 1,1.8,0.5,1", param, ctx)


@models.command("adjust")
@click.argument("bundle")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new bundle.")
@click.option("--version", required=True, help="Version of the new bundle.")
@click.option("--mix", metavar="OTHER", help="Another bundle of touch, mixed in with the weight --share.")
@click.option("--share", type=float, default=0.5, show_default=True, help="Weight of the other bundle, 0 to 1.")
@click.option("--backbone", metavar="NAME", help="Another backbone: lite0, lite1, lite2; with --weights and --photos.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Its released weights: safetensors with the names of the usual PyTorch port.",
)
@click.option("--photos", type=click.Path(path_type=Path), help="Photographs for --backbone or --kinds: folder or tar.")
@click.option("--kinds", type=click.Path(path_type=Path), help="Folder of the photographs' labels: what pixels show.")
@click.option(
    "--guard",
    type=Numbers(),
    help="How far logits of hints on something else fall in skin, hair, plants, all but paint.",
)
@click.option("--reach", type=Numbers(), help="Factors of the heads' distance penalties, widest head first.")
@click.option("--gates", type=Numbers(), help="Mean shifts of the heads' gates by surprising hints, -6 to 6.")
@click.option("--narrowing", type=Numbers(), help="Mean factors by which surprising hints narrow the heads.")
@click.option(
    "--contrast",
    type=(float, float),
    metavar="SHARE POWER",
    help="The share of surprising hints that becomes one half, and the power of the odds.",
)
def adjust_(
    bundle: str,
    output: Path,
    version: str,
    mix: str | None,
    share: float,
    backbone: str | None,
    weights: Path | None,
    photos: Path | None,
    kinds: Path | None,
    guard: tuple[float, ...] | None,
    reach: tuple[float, ...] | None,
    gates: tuple[float, ...] | None,
    narrowing: tuple[float, ...] | None,
    contrast: tuple[float, float] | None,
) -> None:
    """Change the weights of BUNDLE, a touch network, by hand. Measure and calibrate the new bundle again."""
    try:
        from ..build_engine.gate import check_new_bundle
        from ..training.adjust import Change, LabelledKinds, NewBackbone, adjust
    except ModuleNotFoundError as error:
        raise ConfigError(f"changing weights needs {error.name}: pip install 'livetint[train]'") from error
    if backbone and weights and photos:
        new = NewBackbone(backbone, weights, photos)
    elif backbone or weights or (photos and not kinds):
        raise ConfigError("a new backbone needs --backbone, --weights and --photos together")
    else:
        new = None
    if kinds and not photos:
        raise ConfigError("--kinds needs --photos, the photographs that are labelled")
    labelled = LabelledKinds(photos, kinds) if kinds and photos else None
    source, other = find_model(bundle), find_model(mix) if mix else None
    check_keeps(output, (source.folder, other and other.folder, weights, photos, kinds))
    change = Change(other, share, new, labelled, guard, reach, gates, narrowing, contrast)
    with Bars() as bars:
        made = adjust(source, change, version, output, lambda done, total: bars.set("learning kinds", done, total))
    click.echo(f"wrote {made.folder}; measure it: livetint bench accuracy --model {output} --regions")
    check_new_bundle(made, click.echo)


@models.command("fetch")
@click.argument("name")
@click.option("--url", help="URL of a mirror (https).")
@_calibrate_option
def fetch(name: str, url: str | None, samples: int) -> None:
    """Download the published weights NAME into the user's cache, verify them and make a bundle."""
    from ..build_engine.fetch import fetch as fetch_published
    from ..build_engine.fetch import published

    entry = published(name)
    click.echo(f"{entry.file}: {entry.source}.")
    click.echo(f"Licence {entry.licence}; trained on {entry.data}. The file goes to {cache_folder().parent}.")
    with Bars(bytes_counted=True) as bars:
        bundle = fetch_published(
            name,
            url,
            warn=lambda line: click.echo(f"livetint: {line}", err=True),
            report=lambda done, total: bars.set(entry.file, done, total),
        )
    click.echo(f"wrote {bundle.folder}; use it with --model {name}")
    _calibrate(bundle, samples)
