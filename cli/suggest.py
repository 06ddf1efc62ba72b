"""`livetint suggest`: likely colours at a point, or the points where a hint helps most."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np

from ..engine.colour.cielab import lab_to_srgb
from ..engine.colour.text import format_colour
from ..engine.next_touch import Place
from ..engine.session import Session
from ..engine.suggest import DEFAULT_COUNT, Suggestions
from .options import STANDARD, SessionOptions, open_session, parse_point, session_options, standard_input


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.argument("point", metavar="[X,Y]", required=False)
@click.option("--count", type=click.IntRange(1, 30), default=DEFAULT_COUNT, show_default=True, help="How many.")
@click.option("--where", is_flag=True, help="Print the points where a hint helps most, instead of colours.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@session_options
def suggest(photo: Path, point: str | None, count: int, where: bool, as_json: bool, options: SessionOptions) -> None:
    """Print likely colours at pixel X,Y of PHOTO, given the hints; or with --where the points to touch next."""
    if where == (point is not None):
        raise click.UsageError("give either a point X,Y or --where")
    source = standard_input("a photograph") if str(photo) == STANDARD else photo
    session = open_session(source, options)
    if point is None:
        places = [place_in_pixels(place, session) for place in session.next_touches(count)]
        click.echo(
            json.dumps(places, indent=1) if as_json else "\n".join("{x},{y}  {worth:.1f}".format(**p) for p in places)
        )
        return
    suggestions = session.suggest(*parse_point(point, session.photo), count)
    click.echo(json.dumps(as_table(suggestions), indent=1) if as_json else as_lines(suggestions))


def place_in_pixels(place: Place, session: Session) -> dict[str, float]:
    """A place in pixels of the photograph. worth: the mean squared error of ab that a hint there may remove."""
    x, y = int(place.x * session.photo.width), int(place.y * session.photo.height)
    return {"x": x, "y": y, "worth": round(place.worth, 3)}


def as_table(suggestions: Suggestions) -> dict[str, object]:
    """Suggestions as plain data: every colour as #RRGGBB and ab, swatches with their confidence."""

    def colour(a: float, b: float) -> dict[str, object]:
        return {"colour": _hex(suggestions.L, a, b), "a": round(a, 2), "b": round(b, 2)}

    return {
        "light": round(suggestions.L, 2),
        "swatches": [{**colour(s.a, s.b), "confidence": round(s.confidence, 4)} for s in suggestions.swatches],
        "current": colour(*suggestions.current),
        "first": colour(*(suggestions.first or suggestions.current)),
        "grey": colour(*suggestions.grey),
    }


def as_lines(suggestions: Suggestions) -> str:
    """One line for each colour: #RRGGBB and its confidence, then the current colour and grey."""
    L = suggestions.L
    lines = [f"{_hex(L, s.a, s.b)}  {s.confidence:6.1%}" for s in suggestions.swatches]
    lines.append(f"{_hex(L, *suggestions.current)}  current")
    lines.append(f"{_hex(L, *suggestions.grey)}  grey")
    return "\n".join(lines)


def _hex(L: float, a: float, b: float) -> str:
    return format_colour(lab_to_srgb(np.array([L, a, b])))
