"""Where next: the engine's search in steps, edits that come between them, and the spot that the page shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.engine.errors import RunnerError
from livetint.engine.files import read_toml
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.engine.link import EngineLink, OpenPicture
from livetint.kiosk.engine.service import EngineService
from livetint.kiosk.messages import Answer, Edit, HintMessage, Task
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.server.tasks import end_tasks
from livetint.kiosk.server.touches import Touches
from livetint.kiosk.settings import EngineTable, Settings
from starlette.types import Message
from starlette.websockets import WebSocket

from ..needs import needs
from .album import Album
from .page import Visitor
from .running import PATIENCE_S, RunningKiosk, complete, until

PAUSE_MS = 8000

# The engine


def test_a_search_does_one_touch_a_task_and_an_edit_between_two_of_them_costs_it_nothing(
    stub: Path,
    album: Album,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ref, hint = album.add("one", (200, 150, 90)), HintMessage(0.3, 0.4, 20, 30)
    search = Task("next", ref, edit=Edit(1, "0" * 16, (hint,)))
    edit = Task("edit", ref, edit=Edit(1, "0" * 16, (hint, HintMessage(0.7, 0.2, -30, 10))))
    with OnnxRunner(find_model(stub), 1) as runner:
        service, session = EngineService(runner, 64), Session(album.photo(ref), runner)
        session.add(hint.x, hint.y, hint.a, hint.b, hint.size)
        calls, colorize = [], runner.colorize

        def count(*asked: Any) -> Any:
            calls.append(asked)
            if len(calls) == 9:
                raise RunnerError("a step that fails")
            return colorize(*asked)

        monkeypatch.setattr(runner, "colorize", count)
        service.do(edit, album.descriptors)
        shown = service.do(edit, {})[1]
        with pytest.raises(RunnerError, match="a step that fails"):
            while len(calls) < 9:
                service.do(search, {})
        place, tasks = None, 0  # and the search begins again
        while place is None:
            before = len(calls)
            answer, pixels = service.do(search, {})
            assert len(calls) - before <= 1 and pixels == b"" and answer.inferred
            place, tasks = answer.place, tasks + 1
            assert service.do(edit, {})[1] == shown
        assert tasks > 64
        (expected,) = session.next_touches()
        assert place == (expected.x, expected.y)
        assert service.do(search, {})[0].place == place, "a finished search is kept"
        with OnnxRunner(find_model(stub), 1) as other:
            service.use(other)
            assert service.do(search, {})[0].place is None, "another runner begins again"


# The server


class ScriptedEngine(EngineLink):
    """Answers at once, but its third step of a search lasts until an edit waits; the next search takes STEPS more."""

    STEPS = 5

    def __init__(self) -> None:
        super().__init__(EngineTable(), 64)
        self._ready.set()
        self.asked: list[str] = []

    async def _ask(self, task: Task | Callable[[], Task], open_picture: OpenPicture | None) -> tuple[Answer, bytes]:
        task = task if isinstance(task, Task) else task()
        self.asked.append(task.op)
        steps = self.asked.count("next")
        while task.op == "next" and steps == 3 and self._asked < 2:
            await asyncio.sleep(0)
        return Answer(place=(0.25, 0.75) if steps == 3 + self.STEPS else None), b""


def test_an_edit_that_comes_during_a_step_is_answered_before_the_search_goes_on() -> None:
    async def run() -> None:
        kiosk = Kiosk(Settings())
        await kiosk.engine.close()
        engine = kiosk.engine = ScriptedEngine()
        photo = next(iter(kiosk.gallery.pictures))
        messages: asyncio.Queue[Message] = asyncio.Queue()
        told: asyncio.Queue[Any] = asyncio.Queue()

        def say(kind: str, seq: int) -> None:
            edit = {"type": "edit", "seq": seq, "photo": photo}
            text = json.dumps(edit if kind == "edit" else {"type": "next", "edit": edit})
            messages.put_nowait({"type": "websocket.receive", "text": text})

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                text = message.get("text")
                await told.put(json.loads(text) if text else "colours")

        messages.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "headers": [], "query_string": b"", "path": "/touches"}
        page = asyncio.create_task(Touches(kiosk)(WebSocket(scope, messages.get, send)))
        assert (await told.get())["type"] == "welcome"
        say("edit", 1)
        assert await told.get() == "colours"
        say("next", 1)
        while engine.asked.count("next") < 3:
            await asyncio.sleep(0)
        say("edit", 2)
        assert await told.get() == "colours"
        assert engine.asked == ["edit", "next", "next", "next", "edit"], "the search is over"
        say("next", 2)
        messages.put_nowait({"type": "websocket.receive", "text": '{"type": "next", "edit": null}'})
        say("edit", 3)
        assert await told.get() == "colours"
        assert engine.asked.count("next") <= 4, "the page no longer wanted it"
        say("next", 3)
        assert await told.get() == {"type": "next", "seq": 3, "place": [0.25, 0.75]}
        assert engine.asked.count("next") == 3 + engine.STEPS and engine.asked.count("edit") == 3
        await end_tasks([page])
        await kiosk.close()

    complete(asyncio.wait_for(run(), PATIENCE_S))


# The page


@needs("chromium")
def test_after_a_pause_a_spot_shows_the_place_that_helps_most_and_any_touch_ends_it(
    browser: Any, kiosk: RunningKiosk, stub: Path
) -> None:
    visitor = Visitor(browser, kiosk.address, clock=True)
    visitor.page.clock.fast_forward(2 * PAUSE_MS)
    assert visitor.evaluate("livetint.whereNext.asked") == -1, "nothing is offered in the attract loop"
    visitor.open()
    visitor.page.clock.fast_forward(2 * PAUSE_MS)
    assert visitor.evaluate("livetint.whereNext.asked") == -1, "the spot shows where to begin"
    visitor.place(0.5, 0.5)
    offer(visitor)
    assert visitor.page.locator("#spot").is_visible()
    with OnnxRunner(find_model(stub), 1) as runner:
        session = Session(Photo.open(bundled_photos() / first_file()), runner)
        hint = visitor.hints[0]
        session.add(hint["x"], hint["y"], hint["a"], hint["b"], int(hint["size"]))
        (expected,) = session.next_touches()
    shown = visitor.evaluate("livetint.whereNext.place")
    np.testing.assert_allclose((shown["x"], shown["y"]), (expected.x, expected.y), atol=1e-6)
    visitor.page.mouse.move(300, 300)
    assert offered(visitor), "a mouse may move there"
    visitor.place(shown["x"], shown["y"])
    assert not offered(visitor) and not visitor.page.locator("#spot").is_visible()
    offer(visitor)
    assert visitor.evaluate("livetint.whereNext.place") != shown
    visitor.page.click("#gallery-open")
    assert not offered(visitor)
    visitor.page.click("#back")
    offer(visitor)
    visitor.page.click("#finish")
    visitor.page.click("#leave-yes")
    visitor.until("document.body.dataset.state === 'attract'", "the attract loop")
    assert not offered(visitor)
    visitor.close()


@needs("chromium")
def test_no_spot_for_keys_beside_an_open_ring_or_after_the_picture_changed(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, clock=True, reduced_motion="reduce")
    visitor.open()
    visitor.place(0.5, 0.5)
    visitor.page.locator("#cross").press("Enter")
    until(lambda: visitor.ring, "the ring by keys")
    visitor.page.clock.fast_forward(PAUSE_MS + 100)
    assert visitor.ring and visitor.evaluate("livetint.whereNext.asked") == -1
    visitor.page.keyboard.press("Escape")
    visitor.page.clock.fast_forward(PAUSE_MS + 100)
    assert visitor.evaluate("livetint.whereNext.asked") == -1
    visitor.tap(0.2, 0.2)  # a pointer again
    until(lambda: len(visitor.hints) == 3, "a point")
    visitor.settled()
    seq = visitor.evaluate("livetint.link.seq")
    visitor.page.keyboard.press("Escape")
    visitor.page.mouse.move(500, 300)
    for stale in (f"{{ seq: {seq - 1}, place: [0.5, 0.5] }}", f"{{ seq: {seq}, place: [0.5, 0.5] }}"):
        visitor.evaluate(f"livetint.whereNext.onAnswer({stale})")
        assert not offered(visitor), "nothing was asked since the last touch"
    visitor.page.click("#moods-open")
    visitor.page.clock.fast_forward(PAUSE_MS + 100)
    assert visitor.evaluate("livetint.whereNext.asked") == -1
    visitor.page.click("#moods-close")
    offer(visitor)
    assert visitor.evaluate("document.getAnimations().length") == 0
    visitor.page.keyboard.press("Tab")
    assert not offered(visitor)
    visitor.close()


def offered(visitor: Visitor) -> bool:
    return visitor.evaluate("livetint.whereNext.offered")


def offer(visitor: Visitor) -> None:
    """Let the visitor pause until the spot shows where to touch next."""
    visitor.settled()
    visitor.page.clock.fast_forward(PAUSE_MS + 100)
    until(lambda: offered(visitor), "a place to touch next")


def first_file() -> str:
    """The file of the first picture of the bundled exhibition."""
    return read_toml(bundled_photos() / "photographs.toml")["photograph"][0]["file"]
