"""Who may talk to the kiosk. Web servers accept any Host and any Origin; this one checks both exactly.

A page of another site, open in a browser on this machine, could otherwise control the exhibit: through Host where the
site's name points at loopback (DNS rebinding), through Origin on a WebSocket, which browsers open to any site.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("livetint.kiosk")

# Addresses that stand for all of a machine's own.
ALL_ADDRESSES = ("", "0.0.0.0", "::")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
# Browsers leave these out of Host and Origin: the ports of http and https.
_DEFAULT_PORTS = (":80", ":443")
_IPV4_IN_IPV6 = "::ffff:"
# Refused Host headers that are named in the log; a stranger may send any number.
MAX_LOGGED = 20

# 'wasm-unsafe-eval' allows WebAssembly, with which the page computes touches, and no scripts from texts.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    # Not no-referrer: with that, browsers send "Origin: null" with the forms of the staff page.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), display-capture=()",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware: exact Host on every request, exact Origin on upgrades and changes, headers on every reply.

    hosts: Host headers to accept. all_addresses: the listener is bound to all addresses of the machine, so the address
    that a client has reached is accepted too. (It has no name, so DNS rebinding cannot use it.) setting: the setting
    that lists further hosts, for the log.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        camera: bool = False,
        all_addresses: bool = False,
        setting: str = "",
    ) -> None:
        self.app = app
        self.all_addresses = all_addresses
        self.setting = setting
        self._logged: set[tuple[str, str]] = set()
        policy = HEADERS["permissions-policy"]
        allowed = {"permissions-policy": policy.replace("camera=()", "camera=(self)")} if camera else {}
        self._headers = [(name.encode(), value.encode()) for name, value in {**HEADERS, **allowed}.items()]
        self.hosts = frozenset(spellings(hosts))

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
            advice = f"; {self.setting} may list it, see docs/kiosk.md" if self.setting else ""
            refusal = PlainTextResponse(f"this address is not served here{advice}", 403)
            await refusal(scope, receive, send_with_headers)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _allowed(self, scope: Scope) -> bool:
        allowed = self.hosts | _reached(scope) if self.all_addresses else self.hosts
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in allowed:
            self._log_refused("host", hosts)
            return False
        origins = _values(scope, b"origin")
        if scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD"):
            scheme, _, origin = origins[0].lower().partition("://") if len(origins) == 1 else ("", "", "")
            if scheme not in ("http", "https") or origin not in allowed:
                self._log_refused("origin", origins)
                return False
        return True

    def _log_refused(self, header: str, values: Iterable[str]) -> None:
        """Name a refused header in the log, once, and the setting that would let it in."""
        value = ", ".join(values)[:100]
        if (header, value) in self._logged or len(self._logged) >= MAX_LOGGED:
            return
        self._logged.add((header, value))
        facts = {header: value} | ({"setting": self.setting} if self.setting else {})
        log.warning(f"{header} refused", extra={"facts": facts})


def _reached(scope: Scope) -> frozenset[str]:
    """The Host headers of the address that a client has connected to."""
    server = scope.get("server")
    if not server or server[1] is None:  # a Unix socket
        return frozenset()
    address = server[0].partition("%")[0]
    if address.startswith(_IPV4_IN_IPV6) and "." in address:
        address = address[len(_IPV4_IN_IPV6) :]
    return frozenset(spellings([authority(address, server[1])]))


def spellings(hosts: Iterable[str]) -> set[str]:
    """`hosts` as browsers send them: in lower case, and without a default port."""
    found = {host.lower() for host in hosts}
    return found | {host.removesuffix(port) for host in found for port in _DEFAULT_PORTS if host.endswith(port)}


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def allowed_hosts(host: str, port: int, further: Collection[str] = ()) -> set[str]:
    """Host headers that a listener accepts: its address and, on loopback, the names that browsers use for it."""
    names = LOOPBACK_NAMES if host in LOOPBACK_NAMES + ALL_ADDRESSES else ()
    return {authority(name, port) for name in {host, *names}} | set(further)


def page_address(host: str, port: int) -> str:
    """The address of a listener's page on this machine."""
    return f"http://{authority('127.0.0.1' if host in ALL_ADDRESSES else host, port)}/"


def authority(host: str, port: int) -> str:
    """Host and port as in a URL, with IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
