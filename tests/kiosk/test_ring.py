"""The ring of swatches: what opens and closes it, and that it does not hide the thing that was touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..needs import needs
from .page import Visitor
from .running import RunningKiosk, until

pytestmark = needs("chromium")

CLOSE_MS = 6000


def open_ring(visitor: Visitor, x: float = 0.4, y: float = 0.5) -> None:
    visitor.place(x, y)
    until(lambda: visitor.ring, "the ring")


def test_taps_close_the_ring_and_a_tap_beside_it_places_nothing(visitor: Visitor) -> None:
    open_ring(visitor)
    assert visitor.page.locator(".swatch").first.is_visible()
    visitor.tap(0.9, 0.9)
    until(lambda: not visitor.ring, "its end")
    visitor.settled()
    assert len(visitor.hints) == 1 and not visitor.page.locator(".swatch").first.is_visible()
    assert visitor.evaluate("livetint.painting.chosen") == 0, "its point stays chosen"
    # On its point.
    for shown in (True, False, True):
        visitor.tap(0.4, 0.5)
        until(lambda now=shown: visitor.ring is now, "the other state")
        visitor.settled()
    assert len(visitor.hints) == 1
    start = visitor.at(0.4, 0.5)
    visitor.fingers("Start", start)
    visitor.fingers("Move", (start[0] + 40, start[1]))
    visitor.fingers("End")
    until(lambda: visitor.ring, "the ring of a point that was dragged")
    visitor.settled()


def test_escape_and_grey_close_the_ring_and_undo_leaves_it(visitor: Visitor) -> None:
    open_ring(visitor)
    visitor.page.keyboard.press("Escape")
    assert not visitor.ring
    visitor.tap(0.4, 0.5)
    until(lambda: visitor.ring, "the ring again")
    box = visitor.page.locator("#hold").bounding_box()
    assert box
    visitor.page.mouse.move(box["x"] + 20, box["y"] + 20)
    visitor.page.mouse.down()
    visitor.until("livetint.painting.stage.scene().colour === 0")
    assert not visitor.ring
    visitor.page.mouse.up()
    visitor.tap(0.4, 0.5)
    until(lambda: visitor.ring, "the ring again")
    visitor.page.locator(".swatch").nth(4).tap()
    visitor.settled()
    visitor.page.click("#undo")
    visitor.settled()
    assert visitor.ring
    visitor.page.keyboard.press("Escape")
    visitor.page.click("#redo")
    visitor.settled()
    assert not visitor.ring


def test_the_ring_closes_after_a_while_but_not_under_the_focus_of_keys(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, clock=True)
    visitor.open()
    open_ring(visitor)
    visitor.page.clock.fast_forward(CLOSE_MS - 1000)
    visitor.page.locator(".swatch").nth(2).tap()  # a touch of a swatch is input, not a focus that keeps the ring
    visitor.page.clock.fast_forward(CLOSE_MS - 1000)
    assert visitor.ring
    visitor.page.clock.fast_forward(1500)
    until(lambda: not visitor.ring, "the end of the ring")
    visitor.page.locator("#cross").press("Enter")
    until(lambda: visitor.ring, "the ring by keys")
    visitor.page.clock.fast_forward(3 * CLOSE_MS)
    visitor.page.keyboard.press("Tab")
    assert visitor.evaluate("document.activeElement.className") == "swatch"
    visitor.page.clock.fast_forward(3 * CLOSE_MS)
    assert visitor.ring
    visitor.page.keyboard.press("Escape")
    assert not visitor.ring
    assert visitor.evaluate("document.activeElement.matches('.mark.chosen')"), "the focus is on its point"
    visitor.page.keyboard.press("Enter")
    until(lambda: visitor.ring, "the ring of the point")
    visitor.page.clock.fast_forward(3 * CLOSE_MS)
    assert visitor.ring
    visitor.close()


def test_the_bar_offers_colours_that_fit_all_colours_and_grey_also_by_keys(visitor: Visitor) -> None:
    open_ring(visitor)
    page, fitting = visitor.page, visitor.evaluate("livetint.painting.swatches.shown")
    page.tap("#all-colours")
    assert page.locator("#all-colours").get_attribute("aria-pressed") == "true"
    colours = visitor.evaluate("livetint.painting.swatches.shown")
    hues = sorted(float(np.degrees(np.arctan2(b, a))) % 360 for a, b, _ in colours)
    assert len(hues) == 8 and max(np.diff([*hues, hues[0] + 360])) < 80, "all round the circle of hues"
    assert min(np.hypot(a, b) for a, b, _ in colours) > 15
    page.locator(".swatch").nth(2).tap()
    visitor.settled()
    [hint] = visitor.hints
    assert (hint["a"], hint["b"]) == pytest.approx(colours[2][:2])
    assert visitor.ring and page.locator(".swatch").count() == 8, "it stays with all colours"
    page.keyboard.press("Escape")
    page.locator("#cross").press("Enter")
    until(lambda: visitor.ring, "the ring of another point")
    assert page.locator(".swatch").count() == 5
    page.locator(".swatch").last.focus()
    for pressed in ("fitting", "all-colours", "ring-grey"):
        page.keyboard.press("Tab")
        assert visitor.evaluate("document.activeElement.id") == pressed
    page.keyboard.press("Enter")
    visitor.settled()
    assert [abs(h["a"]) + abs(h["b"]) for h in visitor.hints][1] == 0
    assert page.locator("#ring-grey").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert visitor.evaluate("document.activeElement.matches('.mark.chosen')"), "the focus is on its point"
    visitor.tap(0.4, 0.5)
    until(lambda: visitor.ring, "the ring of the first point")
    visitor.settled()
    assert len(visitor.evaluate("livetint.painting.swatches.shown")) == len(fitting)
