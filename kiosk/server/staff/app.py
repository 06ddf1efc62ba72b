"""The staff page's application: for staff, on a listener of its own, behind a token, off by default."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ....engine.errors import LivetintError
from ...settings import LANGUAGES
from ..state import Kiosk
from ..touches import Touches
from ..web_files import web_files
from ..words import preferred
from . import html
from .auth import with_token
from .overview import overview
from .pictures import Photographs, error_response, read_form, redirect
from .words import Say, say_in

# Files of the visitors' page that the staff page uses too.
SHARED_FILES = ("/operator.css", "/icon.svg", "/colour.js", "/dom.js")
LANGUAGE_COOKIE = "livetint_staff_language"
Body = Callable[[Request, Say], Awaitable["str | None"]]


def make_operator(kiosk: Kiosk, touches: Touches) -> Starlette:
    """All pages of staff."""
    pages = StaffPages(kiosk, touches)
    photographs = pages.photographs
    token = kiosk.settings.operator.token
    files = {path: file for path, file in web_files().items() if path in SHARED_FILES or path.startswith("/staff/")}

    async def file(request: Request) -> Response:
        found = files.get(request.url.path)
        return Response(found[0], media_type=found[1]) if found else PlainTextResponse("not here", 404)

    routes = [
        ("/", pages.page("overview", pages.overview), "GET"),
        ("/floor", pages.floor, "POST"),
        ("/reload", pages.reload, "POST"),
        ("/photographs", pages.page("photographs", pages.photograph_list, "/staff/add.js"), "GET"),
        ("/photographs/edit", pages.page("photographs", pages.photograph, "/staff/points.js"), "GET"),
        ("/photographs/add", pages.add, "POST"),
        ("/photographs/{id}/{size:int}.jpg", photographs.preview, "GET"),
        ("/photographs/{id}/coloured.jpg", photographs.coloured, "GET"),
        ("/photographs/{id}/colours.json", photographs.colours, "GET"),
        ("/photographs/{what}", pages.change, "POST"),
        ("/lab.json", photographs.lab, "GET"),
        ("/wall", pages.page("wall", pages.wall), "GET"),
        ("/wall/remove", pages.remove_from_wall, "POST"),
        ("/wall/{name}", pages.wall_picture, "GET"),
        ("/{path:path}", file, "GET"),
    ]
    return Starlette(routes=[Route(path, with_token(token, answer), methods=[way]) for path, answer, way in routes])


class StaffPages:
    """The pages in the language that staff chose, else the one their browser prefers."""

    def __init__(self, kiosk: Kiosk, touches: Touches) -> None:
        self._kiosk = kiosk
        self._touches = touches
        self.photographs = Photographs(kiosk)

    def page(self, name: str, body: Body, *scripts: str) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that shows a body; 404 where there is none."""

        async def answer(request: Request) -> Response:
            language = self._language(request)
            say = say_in(language)
            try:
                shown, status = await body(request, say), 200
            except LivetintError as error:
                sentence, status = error_response(say, error)
                shown = html.notice(sentence)
            if shown is None:
                return PlainTextResponse("not here", 404)
            reply = HTMLResponse(html.document(say, language, name, shown, scripts), status)
            if "language" in request.query_params:
                reply.set_cookie(LANGUAGE_COOKIE, language, samesite="strict", httponly=True)
            return reply

        return answer

    def _language(self, request: Request) -> str:
        for chosen in (request.query_params.get("language"), request.cookies.get(LANGUAGE_COOKIE)):
            if chosen in LANGUAGES:
                return chosen
        return preferred(request.headers.get("accept-language", ""), self._kiosk.languages[0])

    # The exhibit

    async def overview(self, request: Request, say: Say) -> str:
        return overview(self._kiosk, say, time.strftime("%H:%M"))

    async def floor(self, request: Request) -> Response:
        self._kiosk.on_floor = not self._kiosk.on_floor
        return redirect("/")

    async def reload(self, request: Request) -> Response:
        await self._touches.reload_pages()
        return redirect("/")

    # The photographs

    async def photograph_list(self, request: Request, say: Say) -> str:
        copied = "copied" in request.query_params
        done = say("copied", folder=self._kiosk.gallery.folder) if copied else ""
        return await self.photographs.list_page(say, done=done)

    async def photograph(self, request: Request, say: Say) -> str | None:
        return await self.photographs.edit_page(say, request.query_params.get("file", ""))

    async def add(self, request: Request) -> Response:
        return await self.photographs.add(request, say_in(self._language(request)))

    async def change(self, request: Request) -> Response:
        """A change of the photographs; where it fails, the list with a sentence that says why."""
        what = request.path_params["what"]
        if what not in ("save", "move", "remove", "copy"):
            return PlainTextResponse("not here", 404)
        try:
            return redirect(await self.photographs.change(request, what))
        except LivetintError as error:
            language = self._language(request)
            say = say_in(language)
            sentence, status = error_response(say, error)
            body = await self.photographs.list_page(say, sentence)
            return HTMLResponse(html.document(say, language, "photographs", body, ["/staff/add.js"]), status)

    # The wall

    async def wall(self, request: Request, say: Say) -> str:
        wall = self._kiosk.wall
        if wall.folder is None:
            return f"<h2>{say('wall')}</h2><p>{say('wall_off')}</p>"
        names = await asyncio.to_thread(wall.names)
        items = "".join(
            f'<li><img src="/wall/{quote(name)}" alt="{escape(name)}" loading="lazy">'
            + html.button("/wall/remove", say("remove"), {"name": name}, f"{say('remove')}: {escape(name)}", "quiet")
            + "</li>"
            for name in names
        )
        return f"<h2>{say('wall')}</h2><p>{say('wall_note')}</p>" + (
            f"<ul class='wall'>{items}</ul>" if items else f"<p>{say('wall_empty')}</p>"
        )

    async def remove_from_wall(self, request: Request) -> Response:
        """Take a picture off the wall at once."""
        try:
            name = (await read_form(request)).get("name", "")
            await asyncio.to_thread(self._kiosk.wall.remove, name)
        except LivetintError as error:
            return PlainTextResponse(str(error), 503)
        return redirect("/wall")

    async def wall_picture(self, request: Request) -> Response:
        data = await asyncio.to_thread(self._kiosk.wall.read, request.path_params["name"])
        return Response(data, media_type="image/jpeg") if data else PlainTextResponse("not here", 404)
