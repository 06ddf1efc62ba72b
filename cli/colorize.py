"""`livetint colorize`: colour a photograph, or whole folders, and write the pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from ..engine.errors import ConfigError
from ..engine.files import atomic_write, check_writable
from ..engine.image.compose import METHODS
from ..engine.image.encode import EXTENSIONS, check_output, encode_rgb, takes_alpha
from ..engine.image.metadata import read_metadata
from ..engine.image.photo import Photo
from .archive import ArchiveOptions, colorize_archive
from .options import STANDARD, SessionOptions, open_session, session_options, standard_input

# The format of standard output.
PIPED_EXTENSION = ".png"


@click.command()
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="PATH",
    help="The picture to write, a folder for several photographs, or - for standard output (PNG).",
)
@click.option("--save-hints", type=click.Path(path_type=Path), help="Write the hints as JSON.")
@click.option(
    "--upsampling",
    type=click.Choice(list(METHODS)),
    default="bilinear",
    show_default=True,
    help="How colours are enlarged to full size; guided follows edges and takes longer.",
)
@click.option("--strength", type=float, help="Strength of colour of the picture, 0 (grey) to 2; 1 is as it comes.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Let results replace the photograph or the reference, or files that no earlier run wrote.",
)
@click.option(
    "--keep-location", is_flag=True, help="Keep GPS coordinates in the picture; other metadata is kept in any case."
)
@click.option(
    "--depth",
    type=click.Choice(["8", "16"]),
    default="8",
    show_default=True,
    help="Bits of each colour; 16 for PNG and TIFF.",
)
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes that colour a folder; they share the CPU cores.")
@click.option(
    "--cluster",
    default="",
    metavar="auto|ADDRESS",
    help="Colour a folder by the machines of a Ray cluster; auto starts Ray on this machine alone.",
)
@session_options  # fmt: skip
def colorize(
    photos: Sequence[str],
    output: str,
    save_hints: Path | None,
    upsampling: str,
    strength: float | None,
    overwrite: bool,
    keep_location: bool,
    depth: str,
    jobs: int | None,
    cluster: str,
    options: SessionOptions,
) -> None:
    """Colour photographs at their full size, automatically or with hints.

    PHOTO is a file, a folder with subfolders, or - for standard input. Several photographs, or a folder, become the
    same tree in the folder OUTPUT (docs/archives.md).
    """
    if _is_archive(photos, output):
        if options.hint_texts or options.inside or save_hints:
            raise ConfigError(
                "--hint, --inside and --save-hints are for one photograph and its picture; for a folder, put hints "
                "beside each photograph (NAME.EXT.hints.json), or give --hints for all"
            )
        how = ArchiveOptions(upsampling, strength, overwrite, keep_location, int(depth), cluster, jobs)
        colorize_archive([Path(photo) for photo in photos], Path(output), options, how)
        return
    if jobs is not None or cluster:
        raise ConfigError("--jobs and --cluster are for several photographs; give a folder, and a folder for -o")
    start = time.perf_counter()
    photo = None if photos[0] == STANDARD else Path(photos[0])
    target = None if output == STANDARD else Path(output)
    pictures = () if overwrite else (photo, options.reference)
    _check_places(target, save_hints, pictures, options.hints_file, int(depth))
    source = standard_input("a photograph") if photo is None else photo
    session = open_session(source, options)
    if strength is not None:
        session.set_strength(strength)
    extension = PIPED_EXTENSION if target is None else target.suffix
    pixels = session.picture(upsampling, int(depth), takes_alpha(extension))
    data = encode_rgb(pixels, extension, read_metadata(source, keep_location=keep_location))
    if target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()  # a full disk is told before the result is
    else:
        atomic_write(target, data)
    if save_hints:
        session.save(save_hints)
    click.echo(_result_line(target, session.photo, time.perf_counter() - start, session.runner.runs_on), err=True)


def _is_archive(photos: Sequence[str], output: str) -> bool:
    """Whether the results go into a folder. Raises ConfigError for standard input or output there."""
    folder = output != STANDARD and (output.endswith("/") or Path(output).is_dir())
    if not folder and len(photos) == 1 and not (photos[0] != STANDARD and Path(photos[0]).is_dir()):
        return False
    if STANDARD in photos or output == STANDARD:
        raise ConfigError("- stands for one photograph or picture; several need files, and a folder for -o")
    if not folder and Path(output).suffix.lower() in EXTENSIONS:
        raise ConfigError(f"{output} is the name of one picture; for several photographs, give a folder (-o {output}/)")
    return True


def _result_line(target: Path | None, photo: Photo, seconds: float, runs_on: str) -> str:
    name = "standard output" if target is None else target
    return f"{name}: {photo.width} × {photo.height} pixels, {seconds:.1f} s on the {runs_on}"


def _check_places(
    output: Path | None,
    save_hints: Path | None,
    pictures: Sequence[Path | None],
    hints_file: Path | None,
    depth: int,
) -> None:
    """Check early that both results can be written. Neither may replace one of `pictures`, nor the other result.

    The file of --save-hints may be that of --hints: hints are read, changed and saved. output: None for standard
    output.
    """
    advice = "choose another name, or replace it with --overwrite"
    if output is not None:
        check_output(output, pictures, advice, depth)
        check_writable(output, (hints_file,))
    elif sys.stdout is None:
        raise ConfigError("standard output is closed; open it, or name a file with -o")
    elif sys.stdout.isatty():
        raise ConfigError("standard output is a terminal; send the picture to a file or a program (> picture.png)")
    check_writable(save_hints, pictures, advice)
    check_writable(save_hints, (output,))
