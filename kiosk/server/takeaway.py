"""Pictures that visitors take away on their phones: each for a while, on a page whose address nobody can guess."""

from __future__ import annotations

import math
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..settings import TakeawayTable
from .guard import authority
from .labels import Label
from .web_files import web_files
from .words import direction, preferred, word

# For each screen
MAX_PICTURES = 20
# of all screens together
MAX_BYTES = 256 << 20

_HEAD = """<!doctype html>
<html lang="{language}" dir="{direction}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="stylesheet" href="/takeaway.css"><link rel="icon" href="/icon.svg"></head><body><main>"""
_PAGE = """<h1>{title}</h1><img src="/{key}/picture.jpg" alt="{title}">
<p><a class="keep" href="/{key}/picture.jpg" download="{file_name}">{keep}</a></p>
{story}<p class="quiet">{until}</p></main></body></html>
"""


@dataclass(frozen=True)
class Taken:
    """A picture that can be fetched: its JPEG, and what its page tells of it. `until_s`: on the monotonic clock."""

    picture: bytes
    label: Label
    until_s: float


class Takeaways:
    """The pictures that can be fetched now. `port` is the one that the take-away listener got."""

    def __init__(self, settings: TakeawayTable, screens: int = 1) -> None:
        self._settings = settings
        self._max_pictures = MAX_PICTURES * screens
        self.port = settings.port
        self._pictures: OrderedDict[str, Taken] = OrderedDict()

    def __len__(self) -> int:
        self._expire()
        return len(self._pictures)

    def offer(self, picture: bytes, label: Label) -> str:
        """Make a JPEG fetchable for a while. Returns the address that a phone opens."""
        self._expire()
        while self._pictures and (len(self._pictures) >= self._max_pictures or self._free_bytes < len(picture)):
            self._pictures.popitem(last=False)
        key = secrets.token_urlsafe(16)
        self._pictures[key] = Taken(picture, label, time.monotonic() + self._settings.minutes * 60)
        return f"http://{authority(self._settings.host, self.port)}/{key}"

    def get(self, key: str) -> Taken | None:
        """The picture of an address's key, or None when there is none (any more)."""
        self._expire()
        return self._pictures.get(key)

    @property
    def _free_bytes(self) -> int:
        """Bytes that further pictures may take."""
        return MAX_BYTES - sum(len(taken.picture) for taken in self._pictures.values())

    def _expire(self) -> None:
        now = time.monotonic()
        for key in [key for key, taken in self._pictures.items() if taken.until_s <= now]:
            del self._pictures[key]


def make_takeaway(takeaways: Takeaways, default_language: str) -> Starlette:
    """The application of the take-away listener: a page and a picture per unguessable address, nothing else."""
    files = web_files()

    def gone(request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""), default_language)
        title = escape(word(language, "takeaway_gone"))
        head = _HEAD.format(language=language, direction=direction(language), title=title)
        return HTMLResponse(f"{head}<h1>{title}</h1></main></body></html>", 404)

    async def page(request: Request) -> Response:
        key = request.path_params["key"]
        taken = takeaways.get(key)
        return HTMLResponse(_page(key, taken)) if taken else gone(request)

    async def picture(request: Request) -> Response:
        taken = takeaways.get(request.path_params["key"])
        if taken is None:
            return PlainTextResponse("not here", 404)
        return Response(taken.picture, media_type="image/jpeg")

    async def file(request: Request) -> Response:
        content, kind = files[request.url.path]
        return Response(content, media_type=kind)

    return Starlette(
        routes=[
            Route("/takeaway.css", file),
            Route("/icon.svg", file),
            Route("/{key}", page),
            Route("/{key}/picture.jpg", picture),
        ]
    )


def _page(key: str, taken: Taken) -> str:
    """What a phone shows: the picture, a button that keeps it, the story, and until when this page is there."""
    label = taken.label
    language = label.language
    minutes = max(1, math.ceil((taken.until_s - time.monotonic()) / 60))
    story = (label.caption, label.credit, label.rights, label.made_by)
    title = escape(label.title or word(language, "own"))
    head = _HEAD.format(language=language, direction=direction(language), title=title)
    return head + _PAGE.format(
        title=title,
        key=key,
        file_name=escape(label.file_name(".jpg")),
        keep=escape(word(language, "takeaway_keep")),
        story="".join(f"<p>{escape(line)}</p>" for line in story if line),
        until=escape(word(language, "takeaway_until", minutes=minutes)),
    )
