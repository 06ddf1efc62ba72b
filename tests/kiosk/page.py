"""Drives the page like a visitor: touches, reads what is shown, waits for conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser

from .running import PATIENCE_S, until

# Some finite animation has not ended. One that starts with the next style update counts too.
MOVING = """document.getAnimations().some((a) => a.playState !== 'finished' && a.playState !== 'idle'
  && Number.isFinite(a.effect.getComputedTiming().endTime))"""


def page_settings(**changed: Any) -> str:
    """A script that changes what /settings.json holds for the page, so that one kiosk serves all layouts."""
    return f"""const had = globalThis.fetch;
    globalThis.fetch = async (address, ...rest) => {{ const reply = await had(address, ...rest);
      return address === 'settings.json'
        ? new Response(JSON.stringify({{ ...await reply.json(), ...{json.dumps(changed)} }})) : reply; }};"""


class Visitor:
    """One page with a touch screen. Places on the picture are 0…1; `before` is a script to run before the page's own.

    With `clock`, `page.clock` can move the page's time forward; it also runs by itself.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        width: int = 1280,
        height: int = 800,
        before: str = "",
        clock: bool = False,
        **context: Any,
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=True, accept_downloads=True, **context
        )
        self.context.set_default_timeout(1000 * PATIENCE_S)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        if before:
            self.page.add_init_script(before)
        if clock:
            self.page.clock.install()
        self.page.goto(address)
        self.until("globalThis.livetint !== undefined", "the page")
        self.touch = self.context.new_cdp_session(self.page)

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression. (Playwright's own waiting needs eval, which the page's policy forbids.)"""
        return self.page.evaluate(expression)

    def until(self, expression: str, what: str = "") -> Any:
        return until(lambda: self.evaluate(expression), what or expression)

    def settled(self) -> None:
        """Wait until the screen shows the answer to the newest edit."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.until("livetint.painting.settled")

    def still(self) -> None:
        """Wait until no animation runs, so that sizes, places and colours can be read."""
        self.until(f"!({MOVING})", "the page at rest")

    def open(self, picture: int = 1) -> None:
        """Go from the attract loop to painting a picture."""
        self.page.click("#begin")
        self.page.click(f"#pictures li:nth-child({picture}) button")
        self.until("document.body.dataset.state === 'painting'")
        self.settled()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place on the picture → CSS pixels of the page."""
        box = self.evaluate("document.getElementById('stage').getBoundingClientRect().toJSON()")
        spot = self.evaluate(f"livetint.painting.stage.toStage({{x: {x}, y: {y}}})")
        return box["x"] + spot["x"], box["y"] + spot["y"]

    def tap(self, x: float, y: float) -> None:
        self.page.touchscreen.tap(*self.at(x, y))

    @property
    def ring(self) -> bool:
        """Whether the ring of swatches is open."""
        return self.evaluate("livetint.painting.ringShown")

    def place(self, x: float, y: float) -> None:
        """Tap an empty place and wait until it is a point in colour. A ring that is open is closed first."""
        before = len(self.hints)
        if self.ring:
            self.page.keyboard.press("Escape")
        self.tap(x, y)
        until(lambda: len(self.hints) == before + 1, "a new point")
        self.settled()

    def fingers(self, kind: str, *points: tuple[float, float], size: float = 8) -> None:
        """Send raw touches: `kind` is Start, Move, End or Cancel; points and contact radius `size` in CSS pixels."""
        touches = [{"x": x, "y": y, "radiusX": size, "radiusY": size, "id": i} for i, (x, y) in enumerate(points)]
        self.touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})

    @property
    def hints(self) -> list[dict[str, Any]]:
        return self.evaluate("livetint.painting.edits.present.hints")

    def shown_ab(self, x: float, y: float) -> list[float]:
        """a and b of the planes on screen at a place."""
        return self.evaluate(
            f"""(() => {{ const at = (Math.floor({y} * 256) * 256 + Math.floor({x} * 256)) * 2;
            const one = (h) => {{ const e = (h >> 10) & 31, f = h & 1023, s = h & 32768 ? -1 : 1;
              return e ? s * 2 ** (e - 15) * (1 + f / 1024) : s * 2 ** -14 * f / 1024; }};
            const p = livetint.view.planes; return [one(p[at]), one(p[at + 1])]; }})()"""
        )

    def close(self) -> None:
        """Close the page and check that no error happened on it."""
        self.context.close()
        assert not self.faults, self.faults


def one_visitor(browser: Browser, address: str) -> Iterator[Visitor]:
    """For fixtures: a visitor who has opened the first picture, and whose page is closed at the end."""
    visitor = Visitor(browser, address)
    visitor.open()
    yield visitor
    visitor.close()
