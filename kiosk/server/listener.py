"""uvicorn with limits: on the number of connections, on the time of a request and of its reply, and on closing.

uvicorn itself waits for ever for a client that sends half a header or reads half an answer. On the take-away's address,
which visitors' phones reach, that would use up the descriptors of the whole kiosk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..messages import MAX_BYTES

# A browser opens up to six for requests, and its page one for the WebSocket.
MAX_CONNECTIONS, CONNECTIONS_PER_SCREEN = 64, 16
# A client has the first to send its request, and the second until it has received the whole answer.
REQUEST_DEADLINE_S, ANSWER_DEADLINE_S = 10.0, 180.0
LEAVE_S = 3


class Listener(uvicorn.Server):
    """uvicorn raises a signal again once it has served, which would end the process before the engine is ended."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BoundedRequests(H11Protocol):
    """HTTP in which nobody may hold a connection without using it."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency and len(self.connections) > self.limit_concurrency:
            transport.abort()
        else:
            self._within(REQUEST_DEADLINE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._within(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        waited_for_request = not self._answering
        super().handle_events()
        if waited_for_request and self._answering:
            self._within(ANSWER_DEADLINE_S)

    def on_response_complete(self) -> None:
        self._within(REQUEST_DEADLINE_S)
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._within(None)
        super().handle_websocket_upgrade(event)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _within(self, seconds: float | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose client may not keep the connection by not reading what is left of it."""

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(LEAVE_S, self.transport.abort)


def listener(app: ASGIApp, screens: int = 1) -> Listener:
    """A server of `app`, for sockets that are open already. screens: pages that may be open at once."""
    return Listener(
        uvicorn.Config(
            app,
            http=BoundedRequests,
            ws=BoundedSocket,
            ws_max_size=MAX_BYTES,
            ws_per_message_deflate=False,  # costs 6 ms a frame on loopback, where bytes are free
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=max(MAX_CONNECTIONS, screens * CONNECTIONS_PER_SCREEN),
            timeout_graceful_shutdown=LEAVE_S,
        )
    )
