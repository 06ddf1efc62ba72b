"""The end of a visit: Finish, the warning, the wipe, and the closed screen."""

from __future__ import annotations

import json
from typing import Any

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk, until

pytestmark = needs("chromium")

IDLE = page_settings(idle_s=60, warning_s=20, language="de")
WARNED = "document.getElementById('idle').open"


def test_a_visitor_who_leaves_is_wiped_after_a_warning(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    visitor.place(0.5, 0.5)
    visitor.page.click("#language")
    visitor.page.click("#language-list [lang=fr]")
    visitor.until("document.documentElement.lang === 'fr'")
    visitor.page.click("#contrast")
    visitor.page.clock.fast_forward(61_000)
    visitor.until(WARNED, "the warning")
    visitor.page.mouse.move(200, 200)
    visitor.until(f"!{WARNED}", "the end of the warning")
    visitor.page.clock.fast_forward(61_000)
    visitor.until(WARNED, "another warning")
    assert len(visitor.hints) == 1
    visitor.page.clock.fast_forward(20_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    visitor.until("document.documentElement.lang === 'de'", "the default language")
    assert visitor.evaluate("livetint.painting.palette.recent") == []
    assert visitor.evaluate("document.documentElement.dataset.contrast") == "usual"
    assert not visitor.evaluate(WARNED)
    visitor.close()


def test_a_wipe_needs_no_server(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    visitor.page.click("#language")
    visitor.page.click("#language-list [lang=fr]")
    visitor.until("document.documentElement.lang === 'fr'")
    visitor.page.route("**/*", lambda route: route.abort())
    visitor.page.clock.fast_forward(81_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    visitor.until("document.documentElement.lang === 'de'", "the default language")
    visitor.close()


def test_a_save_that_ends_after_its_visitor_left_is_not_shown(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    held: list[Any] = []
    visitor.page.route("**/save/*", lambda route: held.append(route))
    visitor.page.click("#save")
    until(lambda: visitor.evaluate("document.getElementById('save').disabled") and held, "the saving")
    visitor.page.clock.fast_forward(81_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    with visitor.page.expect_response("**/save/*") as answer:
        held[0].continue_()
    answer.value.body()
    visitor.page.click("#begin")
    visitor.page.click("#pictures li:nth-child(1) button")
    visitor.settled()
    assert not visitor.evaluate("document.getElementById('saved').open")
    assert visitor.evaluate("document.getElementById('save').disabled") is False
    visitor.close()


def test_a_jump_of_the_clock_neither_wipes_nor_keeps_a_visitor(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    visitor.place(0.5, 0.5)
    for hours, place in ((5, (0.15, 0.2)), (-7, (0.85, 0.8))):
        now_ms = visitor.evaluate("Date.now()")
        visitor.page.clock.set_system_time(now_ms / 1000 + hours * 3600)
        visitor.until(f"Math.abs(Date.now() - {now_ms}) > 3_600_000", "the jump")
        visitor.page.clock.fast_forward(10_000)
        visitor.place(*place)
        assert not visitor.evaluate(WARNED)
    assert len(visitor.hints) == 3
    visitor.page.clock.fast_forward(61_000)
    visitor.until(WARNED, "the warning in its time")
    visitor.close()


def test_a_closed_screen_says_the_hours_goes_black_and_opens_again(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()

    def say(**hours: Any) -> None:
        detail = json.dumps({"type": "hours", "opens": "09:00", "closes": "17:30", **hours})
        visitor.evaluate(f"livetint.link.dispatchEvent(new CustomEvent('message', {{ detail: {detail} }}))")

    words = visitor.page.locator("#veil p")
    say(open=False, blank=False)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    visitor.until(
        "document.getElementById('veil-hours').textContent.startsWith('Geöffnet von 09:00 bis 17:30')", "hours"
    )
    assert words.is_visible()
    say(open=False, blank=True)
    assert not words.is_visible()
    visitor.page.touchscreen.tap(400, 300)
    assert words.is_visible(), "a touch wakes the screen"
    visitor.page.clock.fast_forward(16_000)
    assert not words.is_visible()
    assert visitor.evaluate("document.body.dataset.state") == "attract", "nobody gets in"
    say(open=True, blank=False)
    assert visitor.evaluate("document.getElementById('veil').hidden")
    visitor.page.click("#begin")
    visitor.close()
