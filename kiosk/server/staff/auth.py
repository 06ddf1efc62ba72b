"""The token of the staff page, as the password of HTTP's basic authentication."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

Endpoint = Callable[[Request], Awaitable[Response]]


def with_token(token: str, endpoint: Endpoint) -> Endpoint:
    """`endpoint` for those alone who give `token` as their password."""

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
