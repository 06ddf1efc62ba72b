"""Who may talk to the kiosk. Web servers accept any Host and any Origin; this one checks both exactly.

A page of another site, open in a browser on this machine, could otherwise control the exhibit: through Host where the
site's name points at loopback (DNS rebinding), through Origin on a WebSocket, which browsers open to any site.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; connect-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), display-capture=()",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware: exact Host on every request, exact Origin on upgrades and changes, headers on every reply."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], camera: bool = False) -> None:
        self.app = app
        policy = HEADERS["permissions-policy"]
        allowed = {"permissions-policy": policy.replace("camera=()", "camera=(self)")} if camera else {}
        self._headers = [(name.encode(), value.encode()) for name, value in {**HEADERS, **allowed}.items()]
        self.hosts = frozenset(hosts)
        self.origins = frozenset(f"{scheme}://{host}" for host in hosts for scheme in ("http", "https"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        if self._allowed(scope):
            await self.app(scope, receive, send_with_headers)
        elif scope["type"] == "http":
            refusal = PlainTextResponse("this address is not served here", 403)
            await refusal(scope, receive, send_with_headers)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _allowed(self, scope: Scope) -> bool:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return False
        origins = _values(scope, b"origin")
        if scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD"):
            return len(origins) == 1 and origins[0] in self.origins
        return True


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def allowed_hosts(host: str, port: int, further: Collection[str] = ()) -> set[str]:
    """Host headers that a listener accepts: its address and, on loopback, the names that browsers use for it."""
    names = ("127.0.0.1", "localhost", "::1")
    return {authority(name, port) for name in (names if host in names else (host,))} | set(further)


def authority(host: str, port: int) -> str:
    """Host and port as in a URL, with IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
