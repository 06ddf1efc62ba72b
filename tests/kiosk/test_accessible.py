"""Accessibility: axe-core in every state, both contrast themes and Arabic; names of colours; languages; keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.engine.colour.cielab import srgb_to_lab

from ..needs import needs
from .page import Visitor
from .running import RunningKiosk, until
from .test_server import free_port

pytestmark = needs("chromium")


def violations(visitor: Visitor) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    visitor.still()  # a colour that fades in does not have its contrast yet
    found = Axe().run(visitor.page).response["violations"]
    return [f"{v['id']}: {[node['html'][:120] for node in v['nodes'][:3]]}" for v in found]


@pytest.mark.parametrize(("language", "high"), [("en", False), ("en", True), ("ar", False), ("ar", True)])
def test_no_violation_in_any_state(browser: Any, kiosk: RunningKiosk, language: str, high: bool) -> None:
    # axe injects a script, which the kiosk's content policy forbids.
    visitor = Visitor(browser, kiosk.address, bypass_csp=True, reduced_motion="reduce")
    if language != "en":
        visitor.page.click("#language")
        visitor.page.click(f"#language-list [lang={language}]")
        visitor.until(f"document.documentElement.lang === '{language}'")
    if high:
        visitor.page.click("#contrast")
    found = {"attract": violations(visitor)}
    visitor.page.click("#begin")
    found["gallery"] = violations(visitor)
    visitor.page.click("#pictures li:nth-child(1) button")
    visitor.settled()
    found["no point"] = violations(visitor)
    visitor.place(0.5, 0.5)
    visitor.until("!document.getElementById('swatches').hidden", "swatches")
    found["painting"] = violations(visitor)
    visitor.page.click("#all-colours")
    found["all colours"] = violations(visitor)
    visitor.page.click("#brush")
    visitor.page.click("#inside")
    visitor.settled()
    assert visitor.page.locator("#grow").is_visible()
    found["the brush, and an outline"] = violations(visitor)
    visitor.page.click("#draw")
    found["drawing around"] = violations(visitor)
    visitor.page.click("#move")
    found["moving"] = violations(visitor)
    visitor.page.click("#move")
    visitor.page.click("#split")
    found["comparing"] = violations(visitor)
    for name in ("moods", "languages", "consent", "saved", "idle", "camera", "leave"):
        visitor.page.evaluate(f"document.getElementById('{name}').showModal()")
        found[name] = violations(visitor)
        visitor.page.evaluate(f"document.getElementById('{name}').close()")
    assert {state: faults for state, faults in found.items() if faults} == {}
    visitor.close()


def test_no_violation_with_uploads_and_on_the_operator_page(browser: Any, stub: Path, tmp_path: Path) -> None:
    token = "a token for tests"
    port = free_port()
    operator = {"token": token, "port": port}
    kiosk = RunningKiosk(tmp_path, stub, uploads={"enabled": True, "camera": True}, operator=operator)
    try:
        visitor = Visitor(browser, kiosk.address, bypass_csp=True, http_credentials={"username": "", "password": token})
        visitor.page.click("#begin")
        assert violations(visitor) == []
        visitor.page.goto(f"http://127.0.0.1:{port}/")
        assert visitor.page.locator("h1").inner_text() == "Livetint"
        assert violations(visitor) == []
        visitor.close()
    finally:
        kiosk.close()


def test_colours_are_called_what_people_call_them(browser: Any, kiosk: RunningKiosk) -> None:
    """What the page calls colours that have a name of their own, for visitors who do not see them."""
    called = {
        "#000000": "grey_name", "#ff0000": "red", "#8b4513": "brown", "#a0764e": "brown", "#ff8c00": "orange",
        "#d2b48c": "beige", "#c09050": "ochre", "#cc7722": "orange", "#ffe000": "yellow", "#ffd27f": "yellow",
        "#808000": "olive", "#9acd32": "yellow_green", "#228b22": "green", "#008080": "teal", "#1e50c8": "blue",
        "#0000ff": "blue", "#4169e1": "blue", "#6080a8": "blue", "#8a2be2": "purple", "#c8a2c8": "purple",
        "#800080": "purple", "#ffc0cb": "pink", "#490030": "purple", "#e6e6fa": "purple",
    }  # fmt: skip
    bytes_of = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in called]
    labs = srgb_to_lab(np.array([bytes_of], np.float32) / 255)[0].tolist()
    visitor = Visitor(browser, kiosk.address)
    names = visitor.page.evaluate(
        "async (labs) => import('/colour.js').then(({ nameOf }) => labs.map((lab) => nameOf(...lab)[1]))", labs
    )
    assert dict(zip(called, names, strict=True)) == called
    visitor.close()


def test_the_language_button_and_the_note_on_guessed_colours_are_always_visible(visitor: Visitor) -> None:
    def always() -> None:
        assert visitor.page.locator("#language").is_visible()
        assert visitor.page.get_by_text("guess, guided by you").is_visible()

    always()
    visitor.place(0.5, 0.5)
    always()
    visitor.page.click("#gallery-open")
    always()


def test_captions_are_in_the_chosen_language(visitor: Visitor) -> None:
    picture = visitor.evaluate("livetint.settings.pictures[0]")
    assert picture["year"] == "about 1935-1940"
    years = {"de": "um 1935–1940", "ja": "1935–1940年頃"}
    for language in ("de", "ja"):
        visitor.page.click("#language")
        visitor.page.click(f"#language-list [lang={language}]")
        visitor.until(f"document.documentElement.lang === '{language}'")
        until(lambda of=language: visitor.page.locator("#title").inner_text() == picture["titles"][of], "the title")
        assert picture["captions"][language] in visitor.page.locator("#caption").inner_text()
        assert years[language] in visitor.page.locator("#caption").inner_text()


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
    visitor.page.locator("#strength").press("ArrowRight")
    until(lambda: visitor.evaluate("livetint.painting.edits.present.strength") == 1.05, "the strength of colour")
    visitor.page.keyboard.press("Escape")
    visitor.until("!document.getElementById('moods').open")
    visitor.settled()
