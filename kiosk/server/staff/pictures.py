"""Requests of the staff page that change the photographs: texts, order, points, new ones."""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from ....engine.colour.cielab import srgb_to_lab
from ....engine.colour.text import parse_colour
from ....engine.errors import ConfigError, HintRejected, ImageRejected, LivetintError
from ...messages import Edit, HintMessage
from ..child import run_child
from ..exhibition import bundled_photos
from ..previews import SIZES_PX
from ..state import Kiosk, visitor_sentence
from . import html
from .folder import TEXTS, Entry, ExhibitionFolder, HintValues, NotChanged, Stale, check_name, copy_folder
from .words import Say

MAX_FORM_BYTES = 256 << 10
MAX_PICTURE_BYTES = 256 << 20
DEADLINE_S = 120.0
PREVIEW_PX = 960
_decode_hints = msgspec.json.Decoder(tuple[HintValues, ...]).decode


class Photographs:
    """Answers the requests about photographs. One change at a time; what others changed meanwhile is never lost."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self._changing = asyncio.Lock()

    @property
    def _bundled(self) -> bool:
        return self._kiosk.gallery.folder.resolve() == bundled_photos().resolve()

    @property
    def _folder(self) -> ExhibitionFolder:
        return ExhibitionFolder(self._kiosk.gallery.folder)

    # Pages

    async def list_page(self, say: Say, error: str = "", done: str = "") -> str:
        """The body of the page of all photographs."""
        folder = self._folder
        try:
            entries, edition = await asyncio.to_thread(folder.entries), await asyncio.to_thread(folder.edition)
        except (LivetintError, OSError) as unreadable:
            return html.notice(say("mistake", reason=unreadable))
        ids = self._ids()
        items = "".join(
            html.photograph(say, entry, ids.get(entry.file, ""), edition, (at, len(entries)), not self._bundled)
            for at, entry in enumerate(entries)
        )
        mistake = self._kiosk.gallery.mistake
        head = html.notice(error) + html.notice(done, "good")
        head += html.notice(say("mistake", reason=mistake) if mistake else "")
        if self._bundled:
            head += (
                f'<form method="post" action="/photographs/copy" class="copy"><p>{say("bundled")}</p>'
                f'<label>{say("folder")}<input name="folder" required value="{_suggested_folder()}"></label>'
                f'<button class="primary">{say("copy")}</button></form>'
            )
        else:
            head += (
                f'<form id="add" data-wait="{say("one_moment")}"><label>{say("add")}'
                f'<input type="file" accept="image/*,.tif,.tiff,.heic"></label><p role="status"></p></form>'
            )
            items = f'{items}<li class="quiet">{say("remove_note")}</li>'
        return f"<h2>{say('photographs')}</h2>{head}<ul class='photographs'>{items}</ul>"

    async def edit_page(self, say: Say, file: str) -> str | None:
        """The body of the page of one photograph, None where it is not on the list."""
        folder = self._folder
        entries = await asyncio.to_thread(folder.entries)
        found = next((entry for entry in entries if entry.file == file), None)
        if found is None or self._bundled:
            return None
        edition = await asyncio.to_thread(folder.edition)
        return html.editor(say, found, self._ids().get(file, ""), edition)

    def _ids(self) -> dict[str, str]:
        return {picture.record.file: id for id, picture in self._kiosk.gallery.pictures.items()}

    # Changes

    async def change(self, request: Request, what: str) -> str:
        """Make a change: save, move, remove or copy. Returns the address to go to. Raises as `ExhibitionFolder`."""
        form = await read_form(request)
        async with self._changing:
            if what == "copy":
                return await self._copy(form.get("folder", ""))
            if self._bundled:
                raise NotChanged("bundled", "the bundled photographs are not changed")
            await asyncio.to_thread(self._apply, what, form)
            await self._kiosk.gallery.reload()
        return "/photographs"

    def _apply(self, what: str, form: dict[str, str]) -> None:
        folder, file, edition = self._folder, form.get("file", ""), form.get("edition", "")
        if what == "save":
            folder.save(_entry_of(form), edition)
        elif what == "move":
            folder.move(file, -1 if form.get("step") == "-1" else 1, edition)
        else:
            folder.remove(file, edition)

    async def _copy(self, text: str) -> str:
        target = await asyncio.to_thread(copy_folder, self._kiosk.gallery.folder, text.strip())
        await self._kiosk.gallery.move_to(target)
        return "/photographs?copied=1"

    async def add(self, request: Request, say: Say) -> Response:
        """Take in a picture: the body is its file, ?name= what it was called. A child looks at it within limits."""
        if self._bundled:
            return PlainTextResponse(say("bundled"), 409)
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_PICTURE_BYTES:
            return PlainTextResponse(say("too_big"), 413)
        name = Path(request.query_params.get("name", "")).name
        try:
            check_name(name)
            data = await asyncio.wait_for(_body(request, MAX_PICTURE_BYTES), DEADLINE_S)
            await self._inspect(data)
            async with self._changing:
                file = await asyncio.to_thread(self._folder.add, name, data)
                await self._kiosk.gallery.reload()
        except (asyncio.TimeoutError, ClientDisconnect):
            return PlainTextResponse(say("refused_picture"), 408)
        except (ImageRejected, NotChanged) as error:
            return PlainTextResponse(f"{say('refused_picture')} {error}", 422)
        except LivetintError as error:
            word = "mistake" if isinstance(error, ConfigError) else "not_written"
            return PlainTextResponse(say(word, reason=error), 409 if word == "mistake" else 503)
        return JSONResponse({"file": file}, 201)

    async def _inspect(self, data: bytes) -> None:
        arguments = (self._kiosk.settings.gallery.max_megapixels, math.ceil(DEADLINE_S))
        code, reason = await run_child("inspecting", arguments, data, (), DEADLINE_S)
        if code:
            raise ImageRejected(reason or "it needs too much memory or time")

    # Pictures and colours

    async def preview(self, request: Request) -> Response:
        """The grey preview of a photograph."""
        size_px = int(request.path_params["size"])
        try:
            if size_px not in SIZES_PX:
                raise KeyError(size_px)
            picture = self._kiosk.gallery.pictures[request.path_params["id"]]
            return Response(await self._kiosk.previews.get(picture.ref, size_px), media_type="image/jpeg")
        except KeyError:
            return PlainTextResponse("not here", 404)
        except LivetintError as error:
            return PlainTextResponse(visitor_sentence(error), 503)

    async def coloured(self, request: Request) -> Response:
        """A photograph coloured with the points of ?hints=, as the attract loop shows it."""
        return await self._ask(request, None)

    async def colours(self, request: Request) -> Response:
        """The colours that are likely at ?point=x,y, with L there."""
        try:
            x, y = (float(part) for part in request.query_params.get("point", "").split(","))
        except ValueError:
            return PlainTextResponse("not understood", 400)
        return await self._ask(request, (x, y))

    async def _ask(self, request: Request, point: tuple[float, float] | None) -> Response:
        id = request.path_params["id"]
        try:
            if id not in self._kiosk.gallery:
                raise KeyError(id)
            hints = _decode_hints(request.query_params.get("hints", "[]"))
            messages = tuple(HintMessage(*values) for values in hints)
            edit = Edit(0, id, messages, point=point, want="jpeg", width=PREVIEW_PX if point is None else 64)
            # Checks what a browser's message would be checked for.
            edit = msgspec.json.decode(msgspec.json.encode(edit), type=Edit)
            answer, pixels = await self._kiosk.ask(edit)
        except msgspec.DecodeError:
            return PlainTextResponse("not understood", 400)
        except KeyError:
            return PlainTextResponse("not here", 404)
        except LivetintError as error:
            return PlainTextResponse(visitor_sentence(error), 503)
        if point is None:
            return Response(pixels, media_type="image/jpeg")
        colours = answer.colours
        if colours is None:
            return JSONResponse({"L": 50.0, "swatches": []})
        return JSONResponse({"L": colours.L, "swatches": [(a, b) for a, b, _ in colours.swatches]})

    async def lab(self, request: Request) -> Response:
        """a and b of ?colour=#rrggbb."""
        try:
            _, a, b = srgb_to_lab(parse_colour(request.query_params.get("colour", "")))
        except HintRejected:
            return PlainTextResponse("not understood", 400)
        return JSONResponse({"a": round(float(a), 1), "b": round(float(b), 1)})


def error_response(say: Say, error: LivetintError) -> tuple[str, int]:
    """The sentence for staff, escaped, and the status of a change that failed."""
    if isinstance(error, Stale):
        return say("stale"), 409
    if isinstance(error, NotChanged):
        return say(error.word), 422
    if isinstance(error, ConfigError):
        return say("mistake", reason=error), 409
    return say("not_written", reason=error), 422 if isinstance(error, HintRejected) else 503


def redirect(address: str) -> Response:
    """After a change: the page that shows it."""
    return RedirectResponse(address, 303)


def _entry_of(form: dict[str, str]) -> Entry:
    try:
        hints = _decode_hints(form.get("hints", "[]"))
    except msgspec.DecodeError as error:
        raise HintRejected(f"the points are not understood: {error}") from error
    by_language: dict[str, dict[str, str]] = {"title": {}, "caption": {}}
    for key, value in form.items():
        name, _, language = key.partition(".")
        if language and name in by_language:
            by_language[name][language] = value.strip()
    texts = {name: form.get(name, "") for name in TEXTS}
    return Entry(form.get("file", ""), texts, by_language["title"], by_language["caption"], hints)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, bounded. Too many bytes count as an empty form, which no change accepts."""
    try:
        data = await asyncio.wait_for(_body(request, MAX_FORM_BYTES), DEADLINE_S)
        return dict(parse_qsl(data.decode(), keep_blank_values=True))
    except (asyncio.TimeoutError, ClientDisconnect, UnicodeDecodeError, ImageRejected, ValueError):
        return {}


async def _body(request: Request, most: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data.extend(chunk)
        if len(data) > most:
            raise ImageRejected(f"it has more than {most >> 20} MiB")
    return bytes(data)


def _suggested_folder() -> str:
    """A folder that this process may write to, escaped."""
    state = os.environ.get("STATE_DIRECTORY")  # set by systemd
    try:
        found = Path(state) / "photographs" if state else Path.home() / "livetint-photographs"
    except RuntimeError:  # a user without a home
        found = Path.cwd() / "livetint-photographs"
    return html.escape(str(found))
