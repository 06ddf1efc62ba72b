"""Pages without a browser: each drags a point at a steady rate over the kiosk's WebSocket and notes the answers."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from ...engine.errors import ConfigError

# A visitor's points beside the one that is dragged.
OTHER_HINTS = [[0.1 + 0.08 * n, 0.15 + 0.7 * (n % 2), 30 - 6 * n, 6 * n - 25, 5] for n in range(9)]
# Edits along one circle of the drag
CIRCLE = 90


@dataclass
class ScriptedPage:
    """A page that drags one of ten points of a photograph, `rate_per_s` times a second, whatever is answered.

    more: further fields of its edits. latencies_ms: from each edit to the first answer that shows it or a later one;
    `begin` empties it. answers: their number since. name: the server's name for the page.
    """

    address: str
    photo: str
    rate_per_s: float = 30.0
    more: dict[str, Any] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    answers: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        self._seq = self._shown = 0
        self._sent: deque[tuple[int, float]] = deque()

    @property
    def settled(self) -> bool:
        """Whether the newest edit is answered."""
        return self._shown == self._seq

    def begin(self) -> None:
        """Measure from now on: the edits and answers of before do not count."""
        self.latencies_ms, self.answers = [], 0
        self._sent.clear()

    async def run(self, over: Callable[[], bool]) -> None:
        """Paint until `over`, then wait for the answer to the last edit.

        Raises ConfigError where the server refuses the page or an edit.
        """
        parts = urlsplit(self.address)
        address, origin = f"ws://{parts.netloc}/touches", f"http://{parts.netloc}"
        try:
            async with connect(address, origin=Origin(origin), max_size=None) as socket:
                listening = asyncio.create_task(self._listen(socket))
                painting = asyncio.create_task(self._drag(socket, over))
                done, pending = await asyncio.wait({listening, painting}, return_when=asyncio.FIRST_COMPLETED)
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                for task in done:
                    task.result()
                if painting not in done:
                    raise ConfigError("the kiosk closed a page's connection; look at its log")
        except ConnectionClosed as error:
            raise ConfigError(f"the kiosk closed a page's connection: {error}") from error

    async def _drag(self, socket: ClientConnection, over: Callable[[], bool]) -> None:
        due_s = time.perf_counter()
        while not over():
            self._seq += 1
            self._sent.append((self._seq, time.perf_counter()))
            await socket.send(self._edit())
            # A machine that is too slow for the rate sends late, and does not make up for it.
            due_s = max(due_s + 1 / self.rate_per_s, time.perf_counter())
            await asyncio.sleep(due_s - time.perf_counter())
        while not self.settled:
            await asyncio.sleep(1 / self.rate_per_s)

    def _edit(self) -> str:
        angle = 2 * math.pi * self._seq / CIRCLE
        dragged = [0.5 + 0.3 * math.cos(angle), 0.5 + 0.3 * math.sin(angle), 20, 30, 5]
        edit = {"type": "edit", "seq": self._seq, "photo": self.photo, "hints": [*OTHER_HINTS, dragged]}
        return json.dumps(edit | self.more)

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            now = time.perf_counter()
            if isinstance(message, str):
                self._hear(json.loads(message))
                continue
            (length,) = struct.unpack_from("<I", message)
            self._shown = json.loads(message[4 : 4 + length])["seq"]
            self.answers += 1
            while self._sent and self._sent[0][0] <= self._shown:
                self.latencies_ms.append((now - self._sent.popleft()[1]) * 1000)

    def _hear(self, told: dict[str, Any]) -> None:
        if told["type"] == "welcome":
            self.name = told["page"]
        if told["type"] == "refused":
            raise ConfigError(f"the kiosk refused an edit: {told['sentence']}")
