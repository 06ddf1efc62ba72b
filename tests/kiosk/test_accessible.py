"""axe-core finds no violation in any state, in both contrast themes and in Arabic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..needs import needs
from .page import Visitor
from .running import RunningKiosk
from .test_server import free_port

pytestmark = needs("chromium")


def violations(visitor: Visitor) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    visitor.still()  # a colour that fades in has not its contrast yet
    found = Axe().run(visitor.page).response["violations"]
    return [f"{v['id']}: {[node['html'][:120] for node in v['nodes'][:3]]}" for v in found]


@pytest.mark.parametrize(("language", "high"), [("en", False), ("en", True), ("ar", False), ("ar", True)])
def test_no_violation_in_any_state(browser: Any, kiosk: RunningKiosk, language: str, high: bool) -> None:
    # axe injects itself as a script, which the kiosk's policy rightly forbids.
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
    visitor.page.click("#move")
    found["moving"] = violations(visitor)
    visitor.page.click("#move")
    visitor.page.click("#split")
    found["comparing"] = violations(visitor)
    for name in ("moods", "languages", "saved", "idle", "camera"):
        visitor.page.evaluate(f"document.getElementById('{name}').showModal()")
        found[name] = violations(visitor)
        visitor.page.evaluate(f"document.getElementById('{name}').close()")
    assert {state: faults for state, faults in found.items() if faults} == {}
    visitor.close()


def test_no_violation_where_visitors_bring_pictures_or_staff_look_in(browser: Any, stub: Path, tmp_path: Path) -> None:
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
