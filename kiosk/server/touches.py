"""The WebSockets: a screen for each page, one edit of it under way, one waiting; the latest wins."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..engine.link import EngineLost, TaskRefused
from ..messages import MAX_BYTES, Beat, Edit, Header, Next, decode_upward, pack
from .edit_line import EditLine
from .screens import Screen
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
    """Serves the WebSockets of one kiosk. While all screens are taken, further pages are told to wait."""

    def __init__(self, kiosk: Kiosk) -> None:
        self.kiosk = kiosk
        # The ends of the visits of pages that are gone.
        self._ends: dict[Screen, asyncio.TimerHandle] = {}

    async def __call__(self, socket: WebSocket) -> None:
        name, after = (socket.query_params.get(key, "") for key in ("page", "after"))
        try:
            await socket.accept()
            place = self.kiosk.screens.place_for(name, after)
            if place is None:
                await socket.close(BUSY, "all screens are taken")
                return
        except GONE:
            return
        screen, goes_on = place
        if not goes_on:
            # Another page than before. Nothing that was brought there stays, be it opened in the last moment.
            self.kiosk.end_visit(screen)
        connection = Connection(self.kiosk, socket, screen)
        screen.connect(connection)
        if end := self._ends.pop(screen, None):
            end.cancel()
        try:
            await connection.run()
        finally:
            if screen.disconnect(connection):
                # Not at once: a page that only lost its link asks for the same picture again.
                self._ends[screen] = asyncio.get_running_loop().call_later(GONE_S, self._end, screen)

    def _end(self, screen: Screen) -> None:
        """The page of a screen does not come back."""
        del self._ends[screen]
        screen.give_up()
        self.kiosk.end_visit(screen)

    async def reload_pages(self) -> None:
        """Ask all pages to load themselves again."""
        for screen in self.kiosk.screens.connected:
            if screen.socket:
                with contextlib.suppress(*GONE):
                    await screen.socket.tell("reload")


class Connection:
    """The socket of a screen's page. leaving: the page is going or gone, and another one may take over."""

    def __init__(self, kiosk: Kiosk, socket: WebSocket, screen: Screen) -> None:
        self.kiosk = kiosk
        self.socket = socket
        self.screen = screen
        self.leaving = False
        self._page = screen.name
        self._replaced = asyncio.Event()
        self._edits = EditLine()
        # The edit after which the page wants to know where to touch next.
        self._search_for: Edit | None = None
        self._search_asked = asyncio.Event()
        self._sending = asyncio.Lock()
        self._allowance = Allowance()

    async def run(self) -> None:
        """Serve until the browser leaves, misbehaves or reads too slowly. The engine finishes an edit under way."""
        jobs: list[asyncio.Task[None]] = []
        try:
            await self.tell("welcome", page=self._page, **self.kiosk.hours_for_page())
            work = self._listen(), self._work(), self._search(), self._announce(), self._until_replaced()
            jobs += [asyncio.create_task(job) for job in work]
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        except GONE as error:
            log.info("page left", extra={"facts": {"how": type(error).__name__}})
        finally:
            self.leaving = True
            await end_tasks(jobs)

    def replace(self) -> None:
        """End it: another socket has the screen now."""
        self.leaving = True
        self._replaced.set()

    async def _until_replaced(self) -> None:
        await self._replaced.wait()

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
            if self.leaving:
                return
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
            elif isinstance(upward, Next):
                self._search_for = upward.edit
                self._search_asked.set()
            else:
                self._on_edit(upward)

    def _on_edit(self, edit: Edit) -> None:
        """The edit waits for its turn. It replaces one that waits already, and ends a search for the next place."""
        self._search_for = None
        if self._edits.put(edit):
            self.kiosk.metrics.superseded.inc()

    async def _refuse(self, code: int, reason: str) -> None:
        self.kiosk.metrics.refused.inc()
        log.warning("page refused", extra={"facts": {"reason": reason}})
        await self.socket.close(code, reason)

    def _on_beat(self, beat: Beat) -> None:
        kiosk = self.kiosk
        kiosk.count_edits(beat.edits, self.screen)  # made in the state before
        self.screen.life.beat(beat.state)
        kiosk.page.beat(_on_this_machine(self.socket))
        if beat.frame_ms is not None:
            kiosk.metrics.latency.labels("touch_to_frame").observe(beat.frame_ms)
        counters = {
            "session": kiosk.metrics.sessions, "reset": kiosk.metrics.resets, "fallback": kiosk.metrics.fallbacks,
        }  # fmt: skip
        if beat.event:
            counters[beat.event].inc()
        if beat.state in ("attract", "closed") or beat.event in ("session", "reset"):
            kiosk.end_visit(self.screen)

    async def _work(self) -> None:
        """Answer the edits, one at a time."""
        tries = 0
        while True:
            await self._edits.wait()
            try:
                answer, pixels = await self.kiosk.colour(self._edits, self.screen)
            except KeyError:
                await self._refuse_edit(self._edits.taken, "This picture is no longer on show.")
            except TaskRefused as error:
                await self._refuse_edit(self._edits.taken, visitor_sentence(error))
            except EngineLost as error:
                tries += 1
                if tries >= TRIES:
                    tries = 0
                    await self._refuse_edit(self._edits.taken, visitor_sentence(error))
                    continue
                await self.tell("pause")
                self._edits.put_back()
            else:
                tries = 0
                edit = self._edits.taken
                kind = "planes" if edit.want == "planes" else "jpeg"
                self._allowance.give_back()
                await self._send(pack(Header(edit.seq, kind, answer.timings, answer.colours, answer.outline), pixels))

    async def _search(self) -> None:
        """Tell the page where to touch next, each time that it wants to know."""
        while True:
            await self._search_asked.wait()
            self._search_asked.clear()
            edit = self._search_for
            if edit is None:
                continue
            place = await self.kiosk.next_touch(edit, self.screen, lambda wanted=edit: self._search_for is wanted)
            if place is not None and self._search_for is edit:
                await self.tell("next", seq=edit.seq, place=place)

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


def _on_this_machine(socket: WebSocket) -> bool:
    """Whether a page is on the machine of the kiosk: it reached an address of the machine from the same address."""
    client, server = socket.client, socket.scope.get("server")
    return client is not None and server is not None and client.host == server[0]
