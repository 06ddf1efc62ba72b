"""Saving on request of the page: which places there are, what a visitor has to agree to, and the replies."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import segno
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ...engine.errors import LivetintError
from ..messages import MAX_BYTES, Edit
from .exports import FileReply
from .labels import Label, label_of
from .screens import Screen
from .state import Kiosk, visitor_sentence
from .visits import Visit, VisitOver
from .words import preferred

log = logging.getLogger("livetint.kiosk")

BODY_DEADLINE_S = 5.0
PAGE_HEADER = "livetint-page"
NO_SCREEN = "This page has no screen. Please load it again."
NOT_AGREED = "Please say first that this picture may be kept."


class BodyRefused(LivetintError):
    """A request's body is too long, too slow or not what was expected."""


@dataclass(frozen=True)
class Order:
    """What the page asks for: an edit of a picture, for a visit, with the texts of a label."""

    edit: Edit
    visit: Visit
    label: Label


@dataclass(frozen=True)
class Place:
    """Somewhere to save to. asks: of whose pictures the visitor has to be asked first."""

    allowed: bool
    asks: str  # "none", "own" or "all"
    save: Callable[[Order], Awaitable[Response]]


class Saving:
    """Answers POST /save/{place}."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        settings = kiosk.settings
        places = {
            # A visitor's own picture gets onto a disk only where the visitor said so.
            "download": Place(settings.saving.download, "own", self._download),
            "keep": Place(bool(settings.saving.folder), "own", self._keep),
            "takeaway": Place(bool(settings.takeaway.host), "none", self._take_away),
            "wall": Place(bool(settings.wall.folder), "all", self._show_on_wall),
        }
        self._places = {name: place for name, place in places.items() if place.allowed}

    async def answer(self, request: Request) -> Response:
        """Save the coloured photograph of the body's edit.

        The Accept-Language header is the language of the file's texts. The query agreed=yes says that the visitor was
        asked and said yes.
        """
        kiosk, name = self._kiosk, request.path_params["place"]
        place = self._places.get(name)
        if place is None:
            return PlainTextResponse("not here", 404)
        screen = screen_of(kiosk, request)
        if isinstance(screen, Response):
            return screen
        visit = screen.visit
        try:
            edit = await _edit_in_body(request)
            picture = kiosk.picture(edit.photo, visit)
            must_ask = place.asks == "all" or (place.asks == "own" and picture.own)
            if must_ask and request.query_params.get("agreed") != "yes":
                kiosk.metrics.refused.inc()
                return PlainTextResponse(NOT_AGREED, 403)
            language = preferred(request.headers.get("accept-language", ""), kiosk.languages[0], kiosk.languages)
            label = label_of(picture, language)
            reply = await place.save(Order(edit, visit, label))
        except BodyRefused as error:
            kiosk.metrics.refused.inc()
            return PlainTextResponse(str(error), 400)
        except KeyError:
            return PlainTextResponse("This picture is no longer on show.", 404)
        except VisitOver as error:
            return PlainTextResponse(error.visitor_sentence, 410)
        except LivetintError as error:
            log.warning("picture not saved", extra={"facts": {"where": name, "reason": str(error)}})
            return PlainTextResponse(visitor_sentence(error), 503)
        kiosk.metrics.saves.inc()
        kiosk.usage.saved(edit.photo, screen.number, edit)
        return reply

    async def _download(self, order: Order) -> Response:
        headers = {"content-disposition": order.label.disposition(".png")}
        file = await self._kiosk.exporter.render(order.edit, order.visit, order.label)
        return FileReply(file, order.visit, "image/png", headers)

    async def _keep(self, order: Order) -> Response:
        return JSONResponse({"name": await self._kiosk.exporter.keep(order.edit, order.visit, order.label)})

    async def _take_away(self, order: Order) -> Response:
        code = io.BytesIO()
        address = await self._kiosk.exporter.take_away(order.edit, order.visit, order.label)
        segno.make(address, micro=False, error="m").save(code, kind="png", scale=8, border=3)
        return Response(code.getvalue(), media_type="image/png")

    async def _show_on_wall(self, order: Order) -> Response:
        name = await self._kiosk.exporter.hang(order.edit, order.visit, order.label)
        await asyncio.to_thread(self._kiosk.wall.make_room)
        return JSONResponse({"name": name})


def page_of(request: Request) -> str:
    """The name of the page that sends a request, "" where it says none. Images have it in their address."""
    return request.headers.get(PAGE_HEADER) or request.query_params.get("page", "")


def screen_of(kiosk: Kiosk, request: Request) -> Screen | Response:
    """The screen whose page sends a request, or the reply that refuses it."""
    name = page_of(request)
    screen = kiosk.screens.of(name)
    if screen is not None:
        return screen
    kiosk.metrics.refused.inc()
    return PlainTextResponse(VisitOver.visitor_sentence, 410) if name else PlainTextResponse(NO_SCREEN, 409)


async def _edit_in_body(request: Request) -> Edit:
    """The edit to save, bounded in bytes and time before it is parsed. Raises BodyRefused."""
    data = bytearray()

    async def read() -> None:
        async for chunk in request.stream():
            data.extend(chunk)
            if len(data) > MAX_BYTES:
                raise BodyRefused("the request is too long")

    try:
        await asyncio.wait_for(read(), BODY_DEADLINE_S)
        return msgspec.json.decode(bytes(data), type=Edit)
    except (asyncio.TimeoutError, ClientDisconnect) as error:
        raise BodyRefused("the request came too slowly") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BodyRefused("the request is not understood") from error
