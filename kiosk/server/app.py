"""The kiosk's addresses: the page and its files, pictures by id, saving, health, metrics, the WebSocket."""

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


class BodyRefused(LivetintError):
    """A request's body is too long, too slow or not what was expected."""


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


def make_app(kiosk: Kiosk, touches: Touches) -> Starlette:
    """The application of the kiosk's own port."""
    files = web_files()
    saving = saving_places(kiosk)

    async def file(request: Request) -> Response:
        found = files.get(request.url.path)
        return Response(found[0], media_type=found[1]) if found else PlainTextResponse("not here", 404)

    async def page_settings(request: Request) -> Response:
        return JSONResponse(kiosk.for_page())

    async def picture(request: Request) -> Response:
        size_px = int(request.path_params["size"])
        if size_px not in SIZES_PX:
            return PlainTextResponse("not here", 404)
        try:
            ref = kiosk.picture(request.path_params["id"]).ref
            return Response(await kiosk.previews.get(ref, size_px), media_type="image/jpeg")
        except KeyError:
            return PlainTextResponse("not here", 404)
        except LivetintError as error:
            return PlainTextResponse(visitor_sentence(error), 503)

    async def healthz(request: Request) -> Response:
        return JSONResponse({"healthy": kiosk.healthy}, 200 if kiosk.healthy else 503)

    async def readyz(request: Request) -> Response:
        ready = kiosk.engine.ready and kiosk.open_now
        return JSONResponse(kiosk.status(), 200 if ready else 503)

    async def pagez(request: Request) -> Response:
        """For the watch over the browser: 503 once a page should be there and shows no life."""
        return JSONResponse({"page": kiosk.page.state}, 503 if kiosk.page.lost else 200)

    async def metrics(request: Request) -> Response:
        kiosk.metrics.faults.set(kiosk.engine.faults)
        kiosk.metrics.ready.set(kiosk.engine.ready)
        kiosk.metrics.fresh.set(min(kiosk.engine.fresh_s, 1e6))
        hottest_c = kiosk.thermal.hottest_c
        kiosk.metrics.hottest.set(math.nan if hottest_c is None else hottest_c)
        return Response(kiosk.metrics.text(), media_type="text/plain; version=0.0.4")

    async def save(request: Request) -> Response:
        """The coloured photograph: as a download, into the venue's folder, or behind a QR code."""
        place, visit = request.path_params["place"], kiosk.visit
        if place not in saving:
            return PlainTextResponse("not here", 404)
        try:
            reply = await saving[place](await _edit_in_body(request), visit)
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

    async def uploads(request: Request) -> Response:
        """The door for a visitor's own picture; docs/kiosk.md has its contract."""
        if not kiosk.settings.uploads.enabled:
            return PlainTextResponse("not here", 404)
        if request.method == "DELETE":
            kiosk.end_visit()
            return Response(status_code=204)
        try:
            if touches.controller is None:
                raise UploadRefused(409, "This page is not at the controls. Please try again.")
            taken = await kiosk.take_in(request.headers.get("content-length"), request.stream())
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except UploadRefused as error:
            kiosk.metrics.refused.inc()
            log.info("upload refused", extra={"facts": {"status": error.status, "reason": str(error)}})
            return PlainTextResponse(error.visitor_sentence, error.status)
        except VisitOver as error:
            return PlainTextResponse(error.visitor_sentence, 410)
        return JSONResponse(taken.for_visitors(), 201)

    routes = [
        Route("/settings.json", page_settings),
        Route("/pictures/{id}/{size:int}.jpg", picture),
        Route("/save/{place}", save, methods=["POST"]),
        Route("/uploads", uploads, methods=["POST", "DELETE"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/pagez", pagez),
        Route("/metrics", metrics),
        WebSocketRoute("/touches", touches.__call__),
        Route("/{path:path}", file),
    ]
    return Starlette(routes=routes)


def saving_places(kiosk: Kiosk) -> dict[str, Callable[[Edit, Visit], Awaitable[Response]]]:
    """What the settings allow visitors to save to → how. The reply is for the page."""

    async def download(edit: Edit, visit: Visit) -> Response:
        named = {"content-disposition": 'attachment; filename="livetint.png"'}
        return FileReply(await kiosk.exporter.render(edit, visit), visit, "image/png", named)

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


async def _edit_in_body(request: Request) -> Edit:
    """The edit to save, bounded in bytes and time before it is parsed."""
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


def make_takeaway(kiosk: Kiosk) -> Starlette:
    """The application of the take-away listener: one picture per unguessable id, nothing else."""

    async def fetch(request: Request) -> Response:
        picture = kiosk.exporter.takeaways.get(request.path_params["key"])
        if picture is None:
            return PlainTextResponse("This picture is gone. Please make a new one at the exhibit.", 404)
        return Response(picture, media_type="image/jpeg")

    return Starlette(routes=[Route("/{key}", fetch)])
