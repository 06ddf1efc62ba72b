"""The operator page: a listener of its own, behind a token, off by default."""

from __future__ import annotations

import base64
import binascii
import hmac
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from .app import web_files
from .state import Kiosk
from .touches import Touches

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Livetint: operator</title><link rel="stylesheet" href="/operator.css"></head>
<body><main><h1>Livetint</h1>
<p class="state {mood}">{headline}</p>
<form method="post" action="/floor"><button>{floor}</button></form>
<form method="post" action="/reload"><button>Load the page anew</button></form>
<h2>Status</h2><table><tbody>{rows}</tbody></table>
<h2>Last errors</h2>{errors}
</main></body></html>"""


def make_operator(kiosk: Kiosk, touches: Touches) -> Starlette:
    """Status, last errors, reload, on floor / off floor."""
    style = web_files()["/operator.css"]

    def admitted(request: Request) -> bool:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(value).decode() if kind.lower() == "basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            return False
        return hmac.compare_digest(given.partition(":")[2].encode(), kiosk.settings.operator.token.encode())

    def refusal() -> Response:
        return PlainTextResponse("the token, please", 401, {"www-authenticate": 'Basic realm="livetint operator"'})

    async def page(request: Request) -> Response:
        if not admitted(request):
            return refusal()
        status = kiosk.status()
        rows = "".join(f"<tr><th scope='row'>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in status.items())
        lines = "".join(f"<li><code>{escape(line)}</code></li>" for line in reversed(kiosk.errors.lines))
        well = status["healthy"]
        return HTMLResponse(
            _PAGE.format(
                mood="well" if well else "ill",
                headline="Working" if well else "Not working",
                floor="Take off the floor" if kiosk.on_floor else "Put on the floor",
                rows=rows,
                errors=f"<ul>{lines}</ul>" if lines else "<p>None.</p>",
            )
        )

    async def floor(request: Request) -> Response:
        if not admitted(request):
            return refusal()
        kiosk.on_floor = not kiosk.on_floor
        return RedirectResponse("/", 303)

    async def reload(request: Request) -> Response:
        if not admitted(request):
            return refusal()
        await touches.reload_page()
        return RedirectResponse("/", 303)

    async def css(request: Request) -> Response:
        return Response(style[0], media_type=style[1])

    return Starlette(
        routes=[
            Route("/", page),
            Route("/operator.css", css),
            Route("/floor", floor, methods=["POST"]),
            Route("/reload", reload, methods=["POST"]),
        ]
    )
