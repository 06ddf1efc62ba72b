"""Options and arguments that several commands share."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..engine.colour.cielab import srgb_to_lab
from ..engine.colour.global_hints import GlobalHints, histogram_of
from ..engine.colour.text import parse_colour
from ..engine.edits import parse_edits
from ..engine.errors import ConfigError, HintRejected
from ..engine.hints import DEFAULT_SIZE_PX
from ..engine.image.compose import fitted, resize_lightness
from ..engine.image.photo import MAX_MEGAPIXELS, Photo
from ..engine.models import DEFAULT_MODEL, find_model
from ..engine.regions import Region
from ..engine.runners.base import Runner
from ..engine.runners.open import DEVICES
from ..engine.runners.open import open_runner as runner_for
from ..engine.session import Session

# On the command line: standard input or output.
STANDARD = "-"
# A mask is white above this L; its shape may differ from the photograph's by so much, as rounding does when it shrinks.
# Its border is taken at this size of its longer side.
MID_GREY_L, MASK_SHAPE, MASK_PX = 50.0, 0.02, 2048


@dataclass(frozen=True)
class SessionOptions:
    """Values of the options that `colorize` and `suggest` share. None: the option was not given."""

    hint_texts: tuple[str, ...]
    hints_file: Path | None
    inside: Path | None
    reference: Path | None
    saturation: float | None
    vivid: float | None
    max_megapixels: float
    model: str
    device: str


_MODEL_OPTIONS = (
    click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of a bundle."),
    click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True,
                 help="Device to run on."),
)  # fmt: skip
_SESSION_OPTIONS = (
    *_MODEL_OPTIONS,
    click.option("--max-megapixels", type=float, default=MAX_MEGAPIXELS, show_default=True,
                 help="Refuse larger photographs."),
    click.option("--vivid", type=float,
                 help="Multiplies the automatic colours, 0.5 to 2; 1 is as trained. Hints keep their colours."),
    click.option("--saturation", type=float, help="Mean saturation of the whole picture, 0 to 1."),
    click.option("--reference", type=click.Path(path_type=Path),
                 help="A picture whose distribution of colours the photograph should have."),
    click.option("--hints", "hints_file", type=click.Path(path_type=Path), help="Hints saved by --save-hints."),
    click.option("--inside", type=click.Path(path_type=Path), metavar="MASK",
                 help="A mask of the photograph; the hints of --hint colour only where it is white."),
    click.option("--hint", "hint_texts", multiple=True, metavar="X,Y,COLOUR[,SIZE]",
                 help="A hint at a pixel; COLOUR is #RRGGBB or a name such as tomato. May be given many times."),
)  # fmt: skip


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options --model and --device."""
    for option in _MODEL_OPTIONS:
        function = option(function)
    return function


def session_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for hints, model and device. The command receives their values as one argument, `options`."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        options = SessionOptions(**{field.name: values.pop(field.name) for field in fields(SessionOptions)})
        return function(options=options, **values)

    for option in _SESSION_OPTIONS:
        command = option(command)
    return command


def open_runner(model: str, device: str) -> Runner:
    """Open a runner. A fall-back to the CPU prints its reason on stderr."""
    return runner_for(find_model(model), device, say=lambda line: click.echo(line, err=True))


def open_session(source: Path | bytes, options: SessionOptions) -> Session:
    """Open a session and set the hints of the command line. All options are checked before the model is loaded.

    source: a photograph's path, or what standard input held. Raises ImageRejected, HintRejected, ConfigError or
    ModelFileError.
    """
    if isinstance(source, bytes):
        name, photo = "standard input", Photo.from_bytes(source, options.max_megapixels, "standard input")
    else:
        name, photo = str(source), Photo.open(source, options.max_megapixels)
    for note in photo.notes:
        click.echo(f"livetint: note: {name}: {note}", err=True)
    edits = parse_edits(read_file(options.hints_file)) if options.hints_file else None
    hints = [parse_hint(text, photo) for text in options.hint_texts]
    region = read_mask(options.inside, photo) if options.inside else None
    if region and not hints:
        raise ConfigError("--inside is for the hints of --hint, and there is none; a hints file holds its own regions")
    global_hints = GlobalHints(reference_histogram(options), options.saturation)
    session = Session(photo, open_runner(options.model, options.device))
    if edits:
        session.set_edits(edits)
    if options.vivid is not None:
        session.set_vivid(options.vivid)
    if global_hints:
        session.set_global(global_hints)
    for x, y, a, b, size in hints:
        index = session.add(x, y, a, b, size)
        if region:
            session.set_inside(index, region)
    return session


def read_mask(path: Path, photo: Photo) -> Region:
    """The region that a mask gives: a picture of the photograph's shape, white where hints may colour.

    A mask of another size is taken as the same photograph made smaller or larger. Raises ImageRejected, and
    HintRejected for a mask without white or of another shape.
    """
    mask = Photo.open(path)
    if not math.isclose(mask.width / mask.height, photo.width / photo.height, rel_tol=MASK_SHAPE):
        raise HintRejected(
            f"{path} is {mask.width} × {mask.height} pixels, and the photograph {photo.width} × {photo.height}; "
            "a mask has the shape of its photograph"
        )
    return Region.from_mask(resize_lightness(mask.L, fitted(mask.size, MASK_PX)) > MID_GREY_L)


def reference_histogram(options: SessionOptions) -> NDArray[np.float32] | None:
    """The distribution of the colours of --reference, float32 [313]; None if it was not given. Raises ImageRejected."""
    if options.reference is None:
        return None
    return histogram_of(Photo.open(options.reference, options.max_megapixels).working_ab())


def standard_input(what: str) -> bytes:
    """All of standard input. Raises ConfigError if it is a terminal, at which one would wait for ever."""
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError(f"standard input is a terminal; send {what} to it (< photo.jpg)")
    return sys.stdin.buffer.read()


def read_file(path: Path) -> bytes:
    """Read a small file. Raises ConfigError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check the path") from error


def parse_point(text: str, photo: Photo) -> tuple[float, float]:
    """`X,Y` in pixels of the photograph → x, y in 0…1, the centre of that pixel. Raises HintRejected."""
    parts = text.split(",")
    if len(parts) != 2:
        raise HintRejected(f"{text!r} is not a point; write X,Y in pixels, for instance 120,80")
    x, y = (_number(part, text) for part in parts)
    if not (0 <= x < photo.width and 0 <= y < photo.height):
        raise HintRejected(
            f"the point {text} lies outside the photograph, which is {photo.width} × {photo.height} pixels"
        )
    return (math.floor(x) + 0.5) / photo.width, (math.floor(y) + 0.5) / photo.height


def parse_hint(text: str, photo: Photo) -> tuple[float, float, float, float, int]:
    """`X,Y,COLOUR[,SIZE]` → x, y in 0…1, a, b in CIELAB units, size. Raises HintRejected."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (3, 4):
        raise HintRejected(f"{text!r} is not a hint; write X,Y,#RRGGBB or X,Y,tomato, and ,SIZE after it if you wish")
    x, y = parse_point(",".join(parts[:2]), photo)
    _, a, b = srgb_to_lab(parse_colour(parts[2]))
    size = _number(parts[3], text) if len(parts) == 4 else DEFAULT_SIZE_PX
    if size != int(size):
        raise HintRejected(f"size {parts[3]} in {text!r} is not possible; write a whole number from 1 to 9")
    return x, y, float(a), float(b), int(size)


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise HintRejected(f"{text!r} in {whole!r} is not a number") from error
    if not np.isfinite(value):
        raise HintRejected(f"{text!r} in {whole!r} is not a finite number")
    return value
