"""Who comes: nobody yet (the attract loop), who reads another language, who uses keys, who takes a picture home."""

from __future__ import annotations

from typing import Any

import pytest

from ..needs import needs
from .page import Visitor, page_settings
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


def test_who_asks_for_stillness_sees_grey_beside_colour_and_nothing_moves(browser: Any, kiosk: RunningKiosk) -> None:
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


def test_the_language_and_whose_guess_colours_are_can_always_be_seen(visitor: Visitor) -> None:
    def always() -> None:
        assert visitor.page.locator("#language").is_visible()
        assert visitor.page.get_by_text("guess, guided by you").is_visible()

    always()
    visitor.place(0.5, 0.5)
    always()
    visitor.page.click("#gallery-open")
    always()


def test_captions_speak_the_language_chosen(visitor: Visitor) -> None:
    picture = visitor.evaluate("livetint.settings.pictures[0]")
    for language in ("de", "ja"):
        visitor.page.click("#language")
        visitor.page.click(f"#language-list [lang={language}]")
        visitor.until(f"document.documentElement.lang === '{language}'")
        until(lambda of=language: visitor.page.locator("#title").inner_text() == picture["titles"][of], "the title")
        assert picture["captions"][language] in visitor.page.locator("#caption").inner_text()
        assert picture["year"] in visitor.page.locator("#caption").inner_text()


def test_keys_change_the_colour_and_hold_the_grey(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    before = visitor.hints[0]
    visitor.page.locator("#field").focus()
    visitor.page.keyboard.press("ArrowLeft")
    until(lambda: visitor.hints[0]["a"] < before["a"], "a greener colour")
    visitor.page.locator("#hold").focus()
    for key, colour in (("Space", 0), ("Enter", 1)):
        visitor.page.keyboard.press(key)
        visitor.until(f"livetint.painting.stage.scene().colour === {colour}")
    visitor.page.locator(".mark").first.focus()
    visitor.page.keyboard.press("Enter")
    assert visitor.evaluate("livetint.painting.chosen") == 0
    visitor.page.locator("#moods-open").press("Enter")
    visitor.page.locator("#saturation").press("ArrowRight")
    until(lambda: visitor.evaluate("livetint.painting.edits.present.saturation") is not None, "the strength of colour")
    visitor.page.keyboard.press("Escape")
    visitor.until("!document.getElementById('moods').open")
    visitor.settled()


@pytest.mark.parametrize("answers", [True, False])
def test_a_code_for_the_phone_is_shown_or_a_sentence_says_why_not(
    browser: Any, kiosk: RunningKiosk, answers: bool
) -> None:
    visitor = Visitor(browser, kiosk.address, before=page_settings(takeaway=True, download=False, keep=False))
    code = kiosk.get("/icon.svg")[1]
    visitor.page.route(
        "**/save/takeaway",
        lambda route: route.fulfill(body=code, content_type="image/svg+xml") if answers else route.abort(),
    )
    visitor.open()
    visitor.page.click("#save")
    visitor.until("document.getElementById('saved').open", "what became of it")
    assert visitor.page.locator("#code").is_visible() is answers
    said = visitor.page.locator("#saved-text").inner_text()
    assert ("Scan this code" if answers else "could not be saved") in said
    visitor.page.click("#saved-close")
    visitor.close()
