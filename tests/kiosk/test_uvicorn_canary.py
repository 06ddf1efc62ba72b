"""kiosk/server/listener.py builds on private parts of uvicorn. A test fails with a sentence when one of them is gone.

pyproject.toml caps uvicorn below the next minor version. Raise the cap only when these tests pass with that version.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from .running import complete

VERSION = importlib.metadata.version("uvicorn")
HTTP = "uvicorn.protocols.http.h11_impl:H11Protocol"
SOCKET = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
# class: methods that we override, with their parameters
OVERRIDDEN = {
    "uvicorn.server:Server": {"capture_signals": []},
    HTTP: {
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
        "handle_events": [],
        "on_response_complete": [],
        "handle_websocket_upgrade": ["event"],
    },
    SOCKET: {"run_asgi": []},
}
# class: attributes of its instances that we read
READ = {HTTP: ("connections", "cycle", "loop", "transport"), SOCKET: ("loop", "transport")}
OPTIONS = (
    "http", "ws", "ws_max_size", "ws_per_message_deflate", "lifespan", "log_config", "access_log", "server_header",
    "limit_concurrency", "timeout_graceful_shutdown",
)  # fmt: skip
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def gone(what: str) -> str:
    """The sentence of a failure."""
    return f"uvicorn {VERSION}: {what}; mend kiosk/server/listener.py before you raise uvicorn's cap in pyproject.toml"


def class_of(place: str) -> Any:
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(gone(f"{place} is gone"))


def test_the_cap_is_the_next_minor_version_and_the_installed_one_is_below_it():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    found = re.search(r'"uvicorn>=0\.(\d+),<0\.(\d+)"', text)
    assert found, "pyproject.toml caps uvicorn's minor version"
    lowest, cap = map(int, found.groups())
    assert lowest >= 35, "uvicorn has WebSocketsSansIOProtocol since 0.35"
    assert lowest <= int(VERSION.split(".")[1]) < cap, f"uvicorn {VERSION} is not what pyproject.toml asks for"


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, names in OVERRIDDEN.items() for name in names])
def test_a_method_that_we_override_is_there(place: str, name: str):
    method = getattr(class_of(place), name, None)
    assert method is not None, gone(f"{place}.{name} is gone")
    parameters = list(inspect.signature(method).parameters)[1:]
    assert parameters == OVERRIDDEN[place][name], gone(f"{place}.{name} takes {parameters}")


def test_the_options_that_we_give_are_there():
    missing = [name for name in OPTIONS if name not in inspect.signature(uvicorn.Config).parameters]
    assert not missing, gone(f"Config has no {', '.join(missing)}")


def test_run_asgi_is_awaited():
    assert inspect.iscoroutinefunction(class_of(SOCKET).run_asgi), gone("run_asgi is no coroutine function")


def test_serving_asks_our_capture_signals():
    calls = re.findall(r"self\.(capture_signals)\(\)", inspect.getsource(uvicorn.Server.serve))
    assert calls == ["capture_signals"], gone("Server.serve does not use capture_signals")


class Wire(asyncio.Transport):
    """A transport that keeps what is written and remembers the protocol that took over."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.protocol = b"", None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def recorder(place: str, called: list[str]) -> type:
    """A subclass that notes each call of a method that we override."""

    def noting(name: str) -> Callable[..., Any]:
        def method(self: Any, *given: Any) -> Any:
            called.append(name)
            return getattr(super(made, self), name)(*given)

        return method

    base = class_of(place)
    made: type = type("Recorder", (base,), {name: noting(name) for name in OVERRIDDEN[place]})
    return made


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def serve_bytes(data: bytes, check: Callable[[Any, Wire], None]) -> list[str]:
    """Feed bytes to uvicorn's protocols as a socket would, until its tasks are done: the methods that were called."""
    called: list[str] = []

    async def run() -> None:
        config = uvicorn.Config(
            app, http=recorder(HTTP, called), ws=recorder(SOCKET, called), lifespan="off", log_config=None
        )
        config.load()
        state, wire = ServerState(), Wire()
        protocol = config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]
        protocol.connection_made(wire)
        protocol.data_received(data)
        while state.tasks:
            _, pending = await asyncio.wait(set(state.tasks), timeout=30)
            assert not pending, gone("a request does not end")
        check(protocol, wire)
        protocol.connection_lost(None)

    complete(run())
    return called


def test_a_request_calls_what_we_override_and_sets_what_we_read():
    def check(protocol: Any, wire: Wire) -> None:
        missing = [name for name in READ[HTTP] if getattr(protocol, name, None) is None]
        assert not missing, gone(f"H11Protocol has no {', '.join(missing)}")
        assert protocol.cycle.response_complete is True, gone("a cycle does not say that its response is complete")
        assert protocol in protocol.connections, gone("a connection does not count itself")
        assert b"done" in wire.written

    called = serve_bytes(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", check)
    for name in ("connection_made", "handle_events", "on_response_complete", "connection_lost"):
        assert name in called, gone(f"a request does not call H11Protocol.{name}")


def test_an_upgrade_calls_what_we_override_and_sets_what_we_read():
    def check(protocol: Any, wire: Wire) -> None:
        assert isinstance(wire.protocol, class_of(SOCKET)), gone("an upgrade does not change the protocol")
        missing = [name for name in READ[SOCKET] if getattr(wire.protocol, name, None) is None]
        assert not missing, gone(f"WebSocketsSansIOProtocol has no {', '.join(missing)}")
        assert wire.written.startswith(b"HTTP/1.1 101")

    called = serve_bytes(UPGRADE, check)
    for name in ("handle_websocket_upgrade", "run_asgi"):
        assert name in called, gone(f"an upgrade does not call {name}")
