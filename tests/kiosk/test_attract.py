"""The attract loop, with and without motion."""

from __future__ import annotations

from typing import Any

from ..needs import needs
from .page import Visitor
from .running import RunningKiosk, until

pytestmark = needs("chromium")

SCENE_MS = 9000


def test_grey_pictures_gain_colour_one_after_the_other_under_a_ghost_finger(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, clock=True)
    shown = set()
    for _ in range(3):
        visitor.until("document.getElementById('ghost').classList.contains('on')", "the finger")
        visitor.until("livetint.painting.stage.reveal?.[2] > 0", "a circle of colour")
        visitor.page.clock.fast_forward(4000)
        visitor.until("livetint.painting.stage.reveal === null", "all of it")
        assert visitor.hints, "the suggested points of the picture"
        shown.add(visitor.evaluate("livetint.painting.photo"))
        title = visitor.page.locator("#title").inner_text()
        visitor.page.clock.fast_forward(SCENE_MS)
        until(lambda before=title: visitor.page.locator("#title").inner_text() != before, "the next picture")
    assert len(shown) == 3
    visitor.close()


def test_with_reduced_motion_nothing_moves_and_grey_stands_beside_colour(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, reduced_motion="reduce")
    visitor.until("livetint.painting.stage.split === 0.5", "both halves")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.reveal") is None
    assert not visitor.evaluate("document.getElementById('ghost').classList.contains('on')")
    assert visitor.evaluate("document.getAnimations().length") == 0
    visitor.open()
    visitor.place(0.5, 0.5)
    assert visitor.evaluate("document.getAnimations().length") == 0
    visitor.close()
