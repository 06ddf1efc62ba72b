"""The kiosk's addresses: the page and its files, pictures by id, saving, uploads, health, metrics, the WebSocket."""

from __future__ import annotations

import asyncio
import io
import logging
import math
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import segno
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from ...engine.errors import LivetintError
from ..messages import MAX_BYTES, Edit
from .exports import FileReply
from .previews import SIZES_PX
from .state import Kiosk, visitor_sentence
from .touches import Touches
from .uploads import UploadRefused
from .visits import Visit, VisitOver

log = logging.getLogger("livetint.kiosk")

WEB = Path(__file__).resolve().parents[1] / "web"
BODY_DEADLINE_S = 5.0

# Saves an edit for a visit; the reply is for the page.
Save = Callable[[Edit, Visit], Awaitable[Response]]


class BodyRefused(LivetintError):
    """A request's body is too long, too slow or not what was expected."""


def make_app(kiosk: Kiosk, touches: Touches) -> Starlette:
    """The application of the kiosk's own port."""
    answers = Answers(kiosk, touches)
    routes = [
        Route("/settings.json", answers.settings),
        Route("/pictures/{id}/{size:int}.jpg", answers.picture),
        Route("/save/{place}", answers.save, methods=["POST"]),
        Route("/uploads", answers.upload, methods=["POST"]),
        Route("/uploads", answers.wipe, methods=["DELETE"]),
        Route("/healthz", answers.healthz),
        Route("/readyz", answers.readyz),
        Route("/pagez", answers.pagez),
        Route("/metrics", answers.metrics),
        WebSocketRoute("/touches", touches.__call__),
        Route("/{path:path}", answers.file),
    ]
    return Starlette(routes=routes)


class Answers:
    """Answers the requests for one kiosk."""

    def __init__(self, kiosk: Kiosk, touches: Touches) -> None:
        self._kiosk = kiosk
        self._touches = touches
        self._files = web_files()
        self._places = saving_places(kiosk)

    async def file(self, request: Request) -> Response:
        found = self._files.get(request.url.path)
        return Response(found[0], media_type=found[1]) if found else _not_here()

    async def settings(self, request: Request) -> Response:
        return Response(self._kiosk.settings_json(), media_type="application/json")

    async def picture(self, request: Request) -> Response:
        """The grey preview of a picture in one of two sizes."""
        size_px = int(request.path_params["size"])
        if size_px not in SIZES_PX:
            return _not_here()
        try:
            ref = self._kiosk.picture(request.path_params["id"]).ref
            return Response(await self._kiosk.previews.get(ref, size_px), media_type="image/jpeg")
        except KeyError:
            return _not_here()
        except LivetintError as error:
            return PlainTextResponse(visitor_sentence(error), 503)

    # Health

    async def healthz(self, request: Request) -> Response:
        healthy = self._kiosk.healthy
        return JSONResponse({"healthy": healthy}, 200 if healthy else 503)

    async def readyz(self, request: Request) -> Response:
        status = self._kiosk.status()
        ready = status["ready"] and status["page_ready"] and status["open"]
        return JSONResponse(status, 200 if ready else 503)

    async def pagez(self, request: Request) -> Response:
        """For the timer that restarts the browser: 503 once a page should be there and shows no life."""
        page = self._kiosk.page
        return JSONResponse({"page": page.state}, 503 if page.lost else 200)

    async def metrics(self, request: Request) -> Response:
        engine, metrics = self._kiosk.engine, self._kiosk.metrics
        metrics.faults.set(engine.faults)
        metrics.ready.set(engine.ready)
        metrics.fresh.set(min(engine.fresh_s, 1e6))
        hottest_c = self._kiosk.thermal.hottest_c
        metrics.hottest.set(math.nan if hottest_c is None else hottest_c)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    # A visitor's pictures

    async def save(self, request: Request) -> Response:
        """Save the coloured photograph: as a download, to the venue's folder, or behind a QR code."""
        kiosk, place, visit = self._kiosk, request.path_params["place"], self._kiosk.visit
        if place not in self._places:
            return _not_here()
        try:
            reply = await self._places[place](await _edit_in_body(request), visit)
        except BodyRefused as error:
            kiosk.metrics.refused.inc()
            return PlainTextResponse(str(error), 400)
        except KeyError:
            return PlainTextResponse("This picture is no longer on show.", 404)
        except VisitOver as error:
            return PlainTextResponse(error.visitor_sentence, 410)
        except LivetintError as error:
            log.warning("picture not saved", extra={"facts": {"where": place, "reason": str(error)}})
            return PlainTextResponse(visitor_sentence(error), 503)
        kiosk.metrics.saves.inc()
        return reply

    async def upload(self, request: Request) -> Response:
        """Take in a visitor's own picture. docs/kiosk.md has the contract."""
        if not self._kiosk.settings.uploads.enabled:
            return _not_here()
        try:
            if self._touches.controller is None:
                raise UploadRefused(409, "This page is not at the controls. Please try again.")
            picture = await self._kiosk.take_in(request.headers.get("content-length"), request.stream())
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except UploadRefused as error:
            self._kiosk.metrics.refused.inc()
            log.info("upload refused", extra={"facts": {"status": error.status, "reason": str(error)}})
            return PlainTextResponse(error.visitor_sentence, error.status)
        except VisitOver as error:
            return PlainTextResponse(error.visitor_sentence, 410)
        return JSONResponse(picture.for_visitors(), 201)

    async def wipe(self, request: Request) -> Response:
        """The page says that its visitor has left."""
        if not self._kiosk.settings.uploads.enabled:
            return _not_here()
        self._kiosk.end_visit()
        return Response(status_code=204)


def web_files() -> dict[str, tuple[bytes, str]]:
    """Address → content and type of every file of the page: a closed list, so no path is ever joined from input."""
    files = {}
    for path in sorted(WEB.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            kind = "text/javascript" if path.suffix == ".js" else kind
            text = kind.startswith("text/") or kind == "application/json"
            files["/" + path.relative_to(WEB).as_posix()] = path.read_bytes(), kind + ("; charset=utf-8" * text)
    files["/"] = files["/index.html"]
    return files


def saving_places(kiosk: Kiosk) -> dict[str, Save]:
    """The places that the settings let visitors save to, by their name in the address."""

    async def download(edit: Edit, visit: Visit) -> Response:
        headers = {"content-disposition": 'attachment; filename="livetint.png"'}
        return FileReply(await kiosk.exporter.render(edit, visit), visit, "image/png", headers)

    async def keep(edit: Edit, visit: Visit) -> Response:
        return JSONResponse({"name": await kiosk.exporter.keep(edit, visit)})

    async def take_away(edit: Edit, visit: Visit) -> Response:
        code = io.BytesIO()
        address = await kiosk.exporter.take_away(edit, visit)
        segno.make(address, micro=False, error="m").save(code, kind="png", scale=8, border=3)
        return Response(code.getvalue(), media_type="image/png")

    settings = kiosk.settings
    places = (
        ("download", settings.saving.download, download),
        ("keep", settings.saving.folder, keep),
        ("takeaway", settings.takeaway.host, take_away),
    )
    return {name: save for name, allowed, save in places if allowed}


def make_takeaway(kiosk: Kiosk) -> Starlette:
    """The application of the take-away listener: one picture per unguessable address, nothing else."""

    async def fetch(request: Request) -> Response:
        picture = kiosk.exporter.takeaways.get(request.path_params["key"])
        if picture is None:
            return PlainTextResponse("This picture is gone. Please make a new one at the exhibit.", 404)
        return Response(picture, media_type="image/jpeg")

    return Starlette(routes=[Route("/{key}", fetch)])


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


def _not_here() -> Response:
    return PlainTextResponse("not here", 404)
