"""The kiosk's addresses: the page and its files, pictures by id, saving, uploads, health, metrics, the WebSocket."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from typing import get_args

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from ...engine.errors import LivetintError
from ..engine.link import TaskRefused
from .previews import SIZES_PX
from .saving import Saving, page_of, screen_of
from .state import Kiosk, visitor_sentence
from .touch_files import Kind
from .touches import Touches
from .uploads import UploadRefused
from .visits import Visit, VisitOver
from .wall import wall_routes
from .web_files import web_files

log = logging.getLogger("livetint.kiosk")


def make_app(kiosk: Kiosk, touches: Touches) -> Starlette:
    """The application of the kiosk's own port."""
    answers = Answers(kiosk)
    routes = [
        Route("/settings.json", answers.settings),
        Route("/pictures/{id}/{size:int}.jpg", answers.picture),
        Route("/pictures/{id}/mood.jpg", answers.mood),
        Route("/heads.bin", answers.heads),
        Route("/pictures/{id}/{kind}.bin", answers.touch_file),
        Route("/save/{place}", Saving(kiosk).answer, methods=["POST"]),
        Route("/uploads", answers.upload, methods=["POST"]),
        Route("/uploads", answers.wipe, methods=["DELETE"]),
        *wall_routes(kiosk),
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

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self._files = web_files()

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
            ref = self._kiosk.picture(request.path_params["id"], self._visit(request)).ref
            return Response(await self._kiosk.previews.get(ref, size_px), media_type="image/jpeg")
        except KeyError:
            return _not_here()
        except LivetintError as error:
            return PlainTextResponse(visitor_sentence(error), 503)

    async def mood(self, request: Request) -> Response:
        """A small copy of a picture in colour, for the choice of moods."""
        try:
            made = await self._kiosk.mood(request.path_params["id"], self._visit(request))
            return Response(made, media_type="image/jpeg")
        except KeyError:
            return _not_here()
        except LivetintError as error:
            return PlainTextResponse(visitor_sentence(error), 503)

    # What touches in the page need

    async def heads(self, request: Request) -> Response:
        """The weights with which a page computes touches itself; 404 where it cannot."""
        return await _packed(self._kiosk.touch_files.heads())

    async def touch_file(self, request: Request) -> Response:
        """The features or the histogram of a picture of the gallery."""
        kind = request.path_params["kind"]
        if kind not in get_args(Kind):
            return _not_here()
        return await _packed(self._kiosk.touch_files.get(kind, request.path_params["id"]))

    def _visit(self, request: Request) -> Visit | None:
        """The visit that a request belongs to, by the name of its page; None where it has none."""
        screen = self._kiosk.screens.of(page_of(request))
        return screen.visit if screen else None

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
        return JSONResponse({"page": self._kiosk.shown}, 503 if self._kiosk.page.lost else 200)

    async def metrics(self, request: Request) -> Response:
        engine, metrics = self._kiosk.engine, self._kiosk.metrics
        metrics.faults.set(engine.faults)
        metrics.ready.set(engine.ready)
        metrics.screens.set(len(self._kiosk.screens.connected))
        metrics.fresh.set(min(engine.fresh_s, 1e6))
        hottest_c = self._kiosk.thermal.hottest_c
        metrics.hottest.set(math.nan if hottest_c is None else hottest_c)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    # A visitor's pictures

    async def upload(self, request: Request) -> Response:
        """Take in a visitor's own picture. docs/kiosk.md has the contract."""
        if not self._kiosk.settings.uploads.enabled:
            return _not_here()
        screen = screen_of(self._kiosk, request)
        if isinstance(screen, Response):
            return screen
        try:
            length = request.headers.get("content-length")
            picture = await self._kiosk.take_in(length, request.stream(), screen.visit)
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
        screen = self._kiosk.screens.of(page_of(request))
        if screen:  # otherwise its visit has ended already
            self._kiosk.end_visit(screen)
        return Response(status_code=204)


async def _packed(made: Awaitable[bytes]) -> Response:
    """A packed file, once it is made."""
    try:
        return Response(await made, media_type="application/octet-stream")
    except (KeyError, TaskRefused):
        return _not_here()
    except LivetintError as error:
        return PlainTextResponse(visitor_sentence(error), 503)


def _not_here() -> Response:
    return PlainTextResponse("not here", 404)
