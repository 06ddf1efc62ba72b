"""The wall: coloured pictures whose visitors agreed to show them, in a folder of their own. Staff can remove each."""

from __future__ import annotations

import asyncio
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ...engine.errors import OutputError
from ...engine.files import write_error
from .web_files import web_files

if TYPE_CHECKING:
    from .state import Kiosk

MAX_PICTURES = 60
# The longer side of a picture on the wall.
SIDE_PX = 1600
_NAME = re.compile(r"[^/\\.][^/\\]{0,200}\.jpg")


class Wall:
    """The pictures of a folder, newest first. `folder` None: there is no wall."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Files of the pictures; no one where the folder cannot be read now."""
        if self.folder is None:
            return []
        try:
            found = [(path.stat(), path.name) for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        except OSError:
            return []
        files = [(status.st_mtime_ns, name) for status, name in found if stat.S_ISREG(status.st_mode)]
        return [name for _, name in sorted(files, reverse=True)]

    def read(self, name: str) -> bytes | None:
        """The JPEG of a name, or None where there is none. No path leads out of the folder."""
        if self.folder is None or not _NAME.fullmatch(name):
            return None
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Take a picture off the wall, and delete its file. Raises OutputError where that fails."""
        if self.folder is None or not _NAME.fullmatch(name):
            return
        path = self.folder / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(path, error) from error

    def make_room(self) -> None:
        """Delete the oldest pictures above MAX_PICTURES. One that cannot be deleted stays."""
        for name in self.names()[MAX_PICTURES:]:
            try:
                self.remove(name)
            except OutputError:
                return


def wall_routes(kiosk: Kiosk) -> list[Route]:
    """The addresses of the wall: its page, its list, its pictures. None where there is no wall."""
    wall = kiosk.wall
    if wall.folder is None:
        return [Route(path, _not_here) for path in ("/wall", "/wall.html")]
    content, kind = web_files()["/wall.html"]

    async def page(request: Request) -> Response:
        return Response(content, media_type=kind)

    async def pictures(request: Request) -> Response:
        names = await asyncio.to_thread(wall.names)
        return JSONResponse({"language": kiosk.languages[0], "pictures": names})

    async def picture(request: Request) -> Response:
        data = await asyncio.to_thread(wall.read, request.path_params["name"])
        return Response(data, media_type="image/jpeg") if data else await _not_here(request)

    return [Route("/wall", page), Route("/wall.json", pictures), Route("/wall/{name}", picture)]


async def _not_here(request: Request) -> Response:
    return PlainTextResponse("not here", 404)
