"""Gestures: palms, pens, mice, two fingers, the lens beside a finger, and every action without dragging."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..needs import needs
from .page import Visitor
from .running import RunningKiosk, until

pytestmark = needs("chromium")

STUCK_MS = 10_000


def test_a_palm_paints_nothing(visitor: Visitor) -> None:
    x, y = visitor.at(0.5, 0.5)
    visitor.fingers("Start", (x, y), size=80)
    visitor.fingers("End")
    visitor.settled()
    assert visitor.hints == []
    visitor.fingers("Start", (x, y), size=80)  # a palm that stays, and a finger beside it
    touches = [{"x": x, "y": y, "radiusX": 80, "radiusY": 80, "id": 0}, {"x": x - 200, "y": y - 90, "id": 1}]
    visitor.touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touches})
    visitor.fingers("End")
    until(lambda: len(visitor.hints) == 1, "the finger's point")
    visitor.settled()


def test_two_fingers_zoom_and_paint_nothing(visitor: Visitor) -> None:
    x, y = visitor.at(0.5, 0.5)
    visitor.fingers("Start", (x - 50, y))
    visitor.fingers("Start", (x - 50, y), (x + 50, y))
    visitor.fingers("Move", (x - 150, y), (x + 150, y))
    visitor.until("livetint.painting.stage.zoom.scale > 2")
    visitor.fingers("End")
    visitor.settled()
    assert visitor.hints == []


def test_a_cancelled_touch_leaves_nothing(visitor: Visitor) -> None:
    visitor.fingers("Start", visitor.at(0.5, 0.5))
    visitor.fingers("Cancel")
    visitor.until("livetint.painting.gestures.fingers.size === 0", "the end of the touch")
    visitor.settled()
    assert visitor.hints == []


def test_a_stuck_touch_is_dropped_and_the_next_one_paints(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, clock=True)
    visitor.open()
    visitor.fingers("Start", visitor.at(0.3, 0.3))
    until(lambda: len(visitor.hints) == 1, "the finger's point")
    visitor.page.clock.fast_forward(STUCK_MS)
    visitor.until("livetint.painting.gestures.fingers.size === 0", "the end of the stuck touch")
    assert visitor.hints == []
    visitor.fingers("End")
    visitor.place(0.7, 0.6)
    visitor.close()


def test_a_palm_on_a_button_presses_nothing(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    box = visitor.page.locator("#restart").bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.fingers("Start", middle, size=80)
    visitor.fingers("End")
    visitor.settled()
    assert len(visitor.hints) == 1
    visitor.fingers("Start", middle)
    visitor.fingers("End")
    until(lambda: visitor.hints == [], "a finger's press")


def test_a_third_finger_and_a_lost_capture_paint_nothing(visitor: Visitor) -> None:
    x, y = visitor.at(0.5, 0.5)
    visitor.fingers("Start", (x - 60, y))
    visitor.fingers("Start", (x - 60, y), (x + 60, y))
    visitor.fingers("Start", (x - 60, y), (x + 60, y), (x, y + 80))
    visitor.fingers("End")
    visitor.settled()
    assert visitor.hints == []
    visitor.fingers("Start", (x, y))
    visitor.until("livetint.painting.gestures.fingers.size === 1", "the finger")
    visitor.fingers("Move", (x + 1, y))  # browsers report a capture, or its loss, with the next event
    visitor.page.evaluate("for (const id of livetint.painting.gestures.fingers.keys()) stage.releasePointerCapture(id)")
    visitor.fingers("Move", (x + 2, y))
    visitor.until("livetint.painting.gestures.fingers.size === 0", "the end of the touch")
    visitor.fingers("End")
    visitor.until("livetint.painting.pending === null", "its answer")


def test_a_mouse_paints_drags_and_zooms(visitor: Visitor) -> None:
    mouse = visitor.page.mouse
    mouse.click(*visitor.at(0.3, 0.4))
    until(lambda: len(visitor.hints) == 1, "the mouse's point")
    visitor.settled()
    mouse.move(*visitor.at(0.3, 0.4))
    mouse.down()
    mouse.move(*visitor.at(0.6, 0.6), steps=5)
    until(lambda: abs(visitor.hints[0]["x"] - 0.6) < 0.01, "the point under the mouse")
    assert visitor.evaluate("livetint.painting.stage.lens") is None, "a mouse hides nothing"
    mouse.up()
    mouse.click(*visitor.at(0.2, 0.2), button="right")
    visitor.settled()
    assert len(visitor.hints) == 1
    mouse.wheel(0, -400)
    visitor.until("livetint.painting.stage.zoom.scale > 2")


def test_a_pen_paints_and_the_hand_that_holds_it_does_not(visitor: Visitor) -> None:
    x, y = visitor.at(0.5, 0.5)
    pen = {"type": "mousePressed", "x": x, "y": y, "button": "left", "clickCount": 1, "pointerType": "pen"}
    visitor.touch.send("Input.dispatchMouseEvent", pen)
    visitor.until("livetint.painting.gestures.mode === 'tap'", "the pen")
    visitor.fingers("Start", (x + 120, y + 60))
    visitor.fingers("End")
    assert visitor.evaluate("livetint.painting.gestures.fingers.size") == 1
    visitor.touch.send("Input.dispatchMouseEvent", {**pen, "type": "mouseReleased"})
    until(lambda: len(visitor.hints) == 1, "the pen's point")
    assert visitor.hints[0]["x"] == pytest.approx(0.5, abs=0.01)
    visitor.settled()


def test_a_lens_shows_what_the_finger_hides(visitor: Visitor) -> None:
    visitor.place(0.5, 0.6)
    start = visitor.at(0.5, 0.6)
    visitor.fingers("Start", start)
    visitor.fingers("Move", (start[0] + 20, start[1]))
    visitor.until("!document.getElementById('lens').hidden", "the lens")
    visitor.still()
    lens, marker = (visitor.page.locator(name).bounding_box() for name in ("#lens", ".mark.chosen:not(.pending)"))
    assert lens and marker
    assert lens["y"] + lens["height"] < marker["y"], "above the finger"
    visitor.fingers("End")
    visitor.until("document.getElementById('lens').hidden", "its end")
    visitor.settled()


def test_the_marker_follows_in_the_same_frame(visitor: Visitor) -> None:
    """The marker is under the finger when the event has been handled, before any answer."""
    visitor.place(0.5, 0.5)
    moved = visitor.page.evaluate(
        """() => { const { stage } = livetint.painting, box = stage.box.getBoundingClientRect();
        const send = (kind, p) => stage.box.dispatchEvent(new PointerEvent(kind, { pointerId: 9, pointerType: 'touch',
          width: 8, height: 8, clientX: box.left + p.x, clientY: box.top + p.y, bubbles: true, cancelable: true }));
        const from = stage.toStage({ x: 0.5, y: 0.5 }), to = stage.toStage({ x: 0.6, y: 0.5 });
        send('pointerdown', from); send('pointermove', to);
        const mark = document.querySelector('.mark.chosen').getBoundingClientRect();
        send('pointerup', to);
        return mark.left + mark.width / 2 - box.left - to.x; }"""
    )
    assert moved == pytest.approx(0, abs=0.6)
    visitor.settled()


def test_nothing_needs_dragging(visitor: Visitor) -> None:
    visitor.place(0.3, 0.3)
    visitor.place(0.6, 0.7)
    visitor.tap(0.3, 0.3)
    until(lambda: visitor.evaluate("livetint.painting.chosen") == 0, "the first point picked again")
    visitor.page.locator("#move").tap()
    until(lambda: visitor.page.locator("#coach").is_visible(), "the sentence that says what to do")
    visitor.tap(0.8, 0.2)
    until(lambda: abs(visitor.hints[0]["x"] - 0.8) < 0.01, "the point at its new place")
    assert len(visitor.hints) == 2
    visitor.page.click("#undo")
    assert visitor.hints[0]["x"] == pytest.approx(0.3, abs=0.01), "one step"
    visitor.page.locator("#zoom-in").tap()
    visitor.until("livetint.painting.stage.zoom.scale > 1.5")
    visitor.page.locator("#zoom-out").tap()
    visitor.until("livetint.painting.stage.zoom.scale === 1")
    assert visitor.page.locator("#zoom-out").is_disabled()
    visitor.settled()


def test_a_zoomed_picture_never_leaves_the_stage(visitor: Visitor) -> None:
    x, y = visitor.at(0.5, 0.5)
    visitor.fingers("Start", (x - 40, y))
    visitor.fingers("Start", (x - 40, y), (x + 40, y))
    visitor.fingers("Move", (x - 160, y), (x + 160, y))
    for shift in np.linspace(0, 3000, 6):
        visitor.fingers("Move", (x - 160 + shift, y + shift), (x + 160 + shift, y + shift))
    visitor.until("livetint.painting.stage.zoom.scale > 2", "the fingers' zoom")
    visitor.fingers("End")
    visitor.until("livetint.painting.gestures.fingers.size === 0", "the end of the touch")
    visitor.settled()
    frame, size = visitor.evaluate("[livetint.painting.stage.frame, livetint.painting.stage.size]")
    assert frame["x"] <= 0 and frame["y"] <= 0
    assert frame["x"] + frame["w"] >= size["w"]
