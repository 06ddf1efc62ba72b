"""The operator page: for staff, on a listener of its own, behind a token, off by default."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from .state import Kiosk
from .touches import Touches
from .web_files import web_files

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Livetint: operator</title><link rel="stylesheet" href="/operator.css"></head>
<body><main><h1>Livetint</h1>
<p class="state {mood}">{headline}</p>
<form method="post" action="/floor"><button>{floor}</button></form>
<form method="post" action="/reload"><button>Reload the page</button></form>
<h2>Status</h2><table><tbody>{rows}</tbody></table>
<h2>Last errors</h2>{errors}
</main></body></html>"""

Endpoint = Callable[[Request], Awaitable[Response]]


def make_operator(kiosk: Kiosk, touches: Touches) -> Starlette:
    """Status, last errors, reload, on floor and off floor."""
    style = web_files()["/operator.css"]

    async def page(request: Request) -> Response:
        return HTMLResponse(_page_of(kiosk))

    async def floor(request: Request) -> Response:
        kiosk.on_floor = not kiosk.on_floor
        return RedirectResponse("/", 303)

    async def reload(request: Request) -> Response:
        await touches.reload_page()
        return RedirectResponse("/", 303)

    async def css(request: Request) -> Response:
        return Response(style[0], media_type=style[1])

    token = kiosk.settings.operator.token
    return Starlette(
        routes=[
            Route("/", _with_token(token, page)),
            Route("/operator.css", css),
            Route("/floor", _with_token(token, floor), methods=["POST"]),
            Route("/reload", _with_token(token, reload), methods=["POST"]),
        ]
    )


def _with_token(token: str, endpoint: Endpoint) -> Endpoint:
    """`endpoint` for those alone who give `token` as the password of HTTP's basic authentication."""

    async def guarded(request: Request) -> Response:
        if hmac.compare_digest(_password_of(request).encode(), token.encode()):
            return await endpoint(request)
        return PlainTextResponse("the token, please", 401, {"www-authenticate": 'Basic realm="livetint operator"'})

    return guarded


def _password_of(request: Request) -> str:
    """The password that a request gives, "" where it gives none. A token is never empty."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(value).decode() if kind.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return given.partition(":")[2]


def _shown(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _page_of(kiosk: Kiosk) -> str:
    status = kiosk.status()
    rows = "".join(f"<tr><th scope='row'>{escape(k)}</th><td>{escape(_shown(v))}</td></tr>" for k, v in status.items())
    lines = "".join(f"<li><code>{escape(line)}</code></li>" for line in reversed(kiosk.errors.lines))
    healthy = status["healthy"]
    return _PAGE.format(
        mood="well" if healthy else "ill",
        headline="Working" if healthy else "Not working",
        floor="Take off the floor" if kiosk.on_floor else "Put on the floor",
        rows=rows,
        errors=f"<ul>{lines}</ul>" if lines else "<p>None.</p>",
    )
