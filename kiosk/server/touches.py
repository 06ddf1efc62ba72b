"""The WebSocket: one page at the controls, one edit under way, one waiting; the latest wins."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..engine.link import EngineLost, TaskRefused
from ..messages import MAX_BYTES, Beat, Edit, Header, decode_upward, pack
from .state import Kiosk, visitor_sentence
from .tasks import end_tasks

log = logging.getLogger("livetint.kiosk")

# A page sends at most one message per animation frame. Twice the rate of a 240 Hz panel is a flood, if it goes on.
RATE_PER_S, BURST = 480.0, 960.0
SEND_DEADLINE_S = 5.0
# A page that lost its link may come back within this time, before the visit ends.
GONE_S = 15.0
TRIES = 3
ANNOUNCE_EVERY_S = 1.0
# Codes with which a WebSocket is closed.
POLICY, TOO_BIG, BUSY = 1008, 1009, 4001
# What sending to a page raises when it has left or does not read.
GONE = (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError, OSError)


class Allowance:
    """A token bucket on the monotonic clock for messages that got no answer.

    A page that waits for each answer is held back by the answers, however fast they come, and is no flood.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens, self._at = BURST, clock()

    def take(self) -> bool:
        """Whether one more message is within the rate."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE_PER_S)
        self._at = now
        self._tokens -= 1
        return self._tokens >= 0

    def give_back(self) -> None:
        """An edit was answered, so that its message no longer counts."""
        self._tokens = min(BURST, self._tokens + 1)


class Touches:
    """Serves the WebSockets of one kiosk: one page is at the controls, others are told to wait."""

    def __init__(self, kiosk: Kiosk) -> None:
        self.kiosk = kiosk
        self._connection: Connection | None = None
        self._end_of_visit: asyncio.TimerHandle | None = None
        # A page that lost its link comes back with the name that it was given.
        self._page = ""

    @property
    def controller(self) -> Connection | None:
        """The page at the controls; None while there is none, or while the last one is leaving."""
        return None if self._connection is None or self._connection.leaving else self._connection

    async def __call__(self, socket: WebSocket) -> None:
        try:
            await socket.accept()
            if self.controller is not None:
                await socket.close(BUSY, "another page is at the controls")
                return
        except GONE:
            return
        if socket.query_params.get("page") != self._page:
            # Another page than before. Nothing that was brought there stays, be it opened in the last moment.
            self._page = secrets.token_hex(4)
            self.kiosk.end_visit()
        connection = self._connection = Connection(self.kiosk, socket, self._page)
        if self._end_of_visit:
            self._end_of_visit.cancel()
        try:
            await connection.run()
        finally:
            if self._connection is connection:
                self._connection = None
                # Not at once: a page that only lost its link asks for the same picture again.
                self._end_of_visit = asyncio.get_running_loop().call_later(GONE_S, self.kiosk.end_visit)

    async def reload_page(self) -> None:
        """Ask the page to load itself again."""
        if self.controller:
            with contextlib.suppress(*GONE):
                await self.controller.tell("reload")


class Connection:
    """One browser at the controls. page: its name. leaving: it is going or gone, and another page may take over."""

    def __init__(self, kiosk: Kiosk, socket: WebSocket, page: str = "") -> None:
        self.kiosk = kiosk
        self.socket = socket
        self.page = page
        self.leaving = False
        self._pending: Edit | None = None
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._allowance = Allowance()

    async def run(self) -> None:
        """Serve until the browser leaves, misbehaves or reads too slowly. The engine finishes an edit under way."""
        jobs: list[asyncio.Task[None]] = []
        try:
            await self.tell("welcome", page=self.page, **self.kiosk.hours_for_page())
            jobs += [asyncio.create_task(job) for job in (self._listen(), self._work(), self._announce())]
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        except GONE as error:
            log.info("page left", extra={"facts": {"how": type(error).__name__}})
        finally:
            self.leaving = True
            await end_tasks(jobs)

    async def tell(self, kind: str, **facts: object) -> None:
        """Send a short message to the page, as JSON text."""
        await self._send(json.dumps({"type": kind, **facts}))

    async def _send(self, message: str | bytes) -> None:
        async with self._sending:
            send = self.socket.send_text(message) if isinstance(message, str) else self.socket.send_bytes(message)
            await asyncio.wait_for(send, SEND_DEADLINE_S)

    async def _listen(self) -> None:
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            text = message.get("text") or ""
            if not self._allowance.take():
                return await self._refuse(POLICY, "too many messages")
            if len(text) > MAX_BYTES:
                return await self._refuse(TOO_BIG, "the message is too big")
            try:
                upward = decode_upward(text)
            except (msgspec.DecodeError, UnicodeError):
                return await self._refuse(POLICY, "the message is not understood")
            if isinstance(upward, Beat):
                self._on_beat(upward)
            else:
                self._on_edit(upward)

    def _on_edit(self, edit: Edit) -> None:
        """The edit waits for its turn. It replaces one that waits already."""
        older = self._pending
        if older is not None:
            self.kiosk.metrics.superseded.inc()
            if older.point is not None and edit.point is None and older.photo == edit.photo:
                # A question for colours must not be lost to the edit that overtakes it. (One for an outline is: it is
                # about a hint of that edit.)
                edit = msgspec.structs.replace(edit, point=older.point)
        self._pending = edit
        self._news.set()

    async def _refuse(self, code: int, reason: str) -> None:
        self.kiosk.metrics.refused.inc()
        log.warning("page refused", extra={"facts": {"reason": reason}})
        await self.socket.close(code, reason)

    def _on_beat(self, beat: Beat) -> None:
        kiosk = self.kiosk
        kiosk.count_edits(beat.edits)  # made in the state before
        kiosk.page.beat(beat.state)
        if beat.frame_ms is not None:
            kiosk.metrics.latency.labels("touch_to_frame").observe(beat.frame_ms)
        counters = {
            "session": kiosk.metrics.sessions, "reset": kiosk.metrics.resets, "fallback": kiosk.metrics.fallbacks,
        }  # fmt: skip
        if beat.event:
            counters[beat.event].inc()
        if beat.state in ("attract", "closed") or beat.event in ("session", "reset"):
            kiosk.end_visit()

    async def _work(self) -> None:
        """Answer the edits, one at a time."""
        tries = 0
        while True:
            await self._news.wait()
            self._news.clear()
            edit, self._pending = self._pending, None
            if edit is None:
                continue
            try:
                answer, pixels = await self.kiosk.colour(edit)
            except KeyError:
                await self._refuse_edit(edit, "This picture is no longer on show.")
            except TaskRefused as error:
                await self._refuse_edit(edit, visitor_sentence(error))
            except EngineLost as error:
                tries += 1
                if tries >= TRIES:
                    tries = 0
                    await self._refuse_edit(edit, visitor_sentence(error))
                    continue
                await self.tell("pause")
                if self._pending is None:
                    self._pending = edit
                    self._news.set()
            else:
                tries = 0
                kind = "planes" if edit.want == "planes" else "jpeg"
                self._allowance.give_back()
                await self._send(pack(Header(edit.seq, kind, answer.timings, answer.colours, answer.outline), pixels))

    async def _refuse_edit(self, edit: Edit, sentence: str) -> None:
        self._allowance.give_back()
        await self.tell("refused", seq=edit.seq, sentence=sentence)

    async def _announce(self) -> None:
        """Tell the page of opening and closing, and of a changed gallery."""
        hours, edition = self.kiosk.hours_for_page(), self.kiosk.gallery.edition
        while True:
            await asyncio.sleep(ANNOUNCE_EVERY_S)
            if self.kiosk.hours_for_page() != hours:
                hours = self.kiosk.hours_for_page()
                await self.tell("hours", **hours)
            if self.kiosk.gallery.edition != edition:
                edition = self.kiosk.gallery.edition
                await self.tell("gallery")
