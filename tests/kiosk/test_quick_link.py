"""The kiosk's page answers touches itself where it can; the engine answers the rest."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from livetint.engine.models import find_model
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.settings import EngineTable, ScreenTable, Settings

from ..needs import needs
from .page import Visitor, one_visitor
from .running import RunningKiosk
from .test_server import first_picture

pytestmark = needs("chromium")

READY = "livetint.link.local?.ready === livetint.painting.photo"
EDITS = "livetint_edits_total"
PLANES = """(() => { let all = ''; const bytes = new Uint8Array(livetint.view.planes.buffer);
  for (let i = 0; i < bytes.length; i += 8192) all += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(all); })()"""


@pytest.fixture(scope="module")
def touch_kiosk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    """A kiosk with the bundled model."""
    running = RunningKiosk(tmp_path_factory.mktemp("touch"), find_model("touch").folder, screen={"pixels": "planes"})
    yield running
    running.close()


@pytest.fixture(scope="module")
def at_touch(chromium: Any, touch_kiosk: RunningKiosk) -> Iterator[Visitor]:
    """A page that shows the first picture of that kiosk."""
    yield from one_visitor(chromium, touch_kiosk.address)


def newest_answer(visitor: Visitor) -> dict[str, float]:
    """What the page has noted of its last frame."""
    return visitor.until("livetint.painting.requests.frames.at(-1)", "a frame")


def shown_planes(visitor: Visitor) -> np.ndarray:
    """The planes on screen, float32 [256, 256, 2]."""
    return np.frombuffer(base64.b64decode(visitor.evaluate(PLANES)), np.float16).astype(np.float32)


def edits_counted(kiosk: RunningKiosk) -> float:
    rows = [line.split() for line in kiosk.get("/metrics")[1].decode().splitlines()]
    return next(float(row[1]) for row in rows if row[0] == EDITS)


def test_the_page_answers_as_the_engine_does_and_its_edits_are_counted(
    at_touch: Visitor, touch_kiosk: RunningKiosk
) -> None:
    at_touch.until(READY, "the page's own answers")
    at_touch.evaluate("livetint.link.beat({ state: 'painting' })")
    before = edits_counted(touch_kiosk)
    at_touch.place(0.4, 0.5)
    at_touch.place(0.7, 0.3)
    assert "server_ms" not in newest_answer(at_touch)
    assert len(at_touch.evaluate("livetint.painting.colours.swatches")) == 5
    here = shown_planes(at_touch)
    edits = at_touch.evaluate("Object.values(livetint.link.edits).reduce((sum, n) => sum + n, 0)")
    assert edits >= 2
    at_touch.evaluate("livetint.link.beat({ state: 'painting' })")
    at_touch.evaluate("livetint.link.answersHere = false; livetint.painting.changed(performance.now())")
    at_touch.until("livetint.painting.requests.frames.at(-1).server_ms !== undefined", "the engine's answer")
    at_touch.settled()
    difference = np.abs(shown_planes(at_touch) - here)
    assert difference.mean() < 0.02
    assert difference.max() < 0.5
    assert edits_counted(touch_kiosk) >= before + edits + 1
    at_touch.evaluate("livetint.link.answersHere = true")


def test_regions_outlines_and_jpegs_go_to_the_engine(at_touch: Visitor) -> None:
    at_touch.until(READY, "the page's own answers")

    def is_answered_here(**changed: Any) -> bool:
        edit = json.dumps({"hints": [[0.1, 0.1, 20, 30, 5]], "outline": None, "want": "planes", **changed})
        return at_touch.evaluate(f"livetint.link.isAnsweredHere({{ photo: livetint.painting.photo, ...{edit} }})")

    assert is_answered_here()
    stroke = {"lines": [[[0.1, 0.1], [0.5, 0.5]]], "a": 20, "b": 30, "size": 5}
    assert is_answered_here(hints=[stroke])
    assert not is_answered_here(hints=[{**stroke, "inside": {"polygons": [[[0, 0], [1, 0], [1, 1]]]}}])
    assert not is_answered_here(hints=[{**stroke, "lines": stroke["lines"] * 129}])
    assert not is_answered_here(outline=0)
    assert not is_answered_here(want="jpeg")
    assert not is_answered_here(photo="0" * 16)


def test_a_picture_that_the_page_cannot_open_is_answered_by_the_engine(at_touch: Visitor) -> None:
    at_touch.page.route("**/features.bin", lambda route: route.fulfill(status=200, body=b"damaged"))
    at_touch.page.click("#gallery-open")
    at_touch.page.click("#pictures li:nth-child(2) button")
    at_touch.until("livetint.link.refused.has(livetint.painting.photo)", "the refusal")
    at_touch.settled()
    at_touch.place(0.4, 0.5)
    assert "server_ms" in newest_answer(at_touch)


def test_it_can_be_switched_off() -> None:
    for touches, vivid in (("auto", 1.5), ("engine", None)):
        asked = Settings(screen=ScreenTable(touches=touches), engine=EngineTable(vivid=1.5))
        assert Kiosk(asked).for_page()["vivid"] == vivid


def test_files_are_of_pictures_on_show_alone(touch_kiosk: RunningKiosk) -> None:
    id = first_picture(touch_kiosk)
    for kind in ("features", "histogram"):
        status, data = touch_kiosk.get(f"/pictures/{id}/{kind}.bin")
        assert status == 200 and data[:2] == b"\x1f\x8b"
        assert touch_kiosk.get(f"/pictures/{id}/{kind}.bin") == (status, data)
        assert touch_kiosk.get(f"/pictures/{'0' * 16}/{kind}.bin")[0] == 404
    assert touch_kiosk.get(f"/pictures/{id}/weights.bin")[0] == 404


def test_a_model_of_another_form_offers_no_files(kiosk: RunningKiosk) -> None:
    assert kiosk.get("/heads.bin")[0] == 404
    assert kiosk.get(f"/pictures/{first_picture(kiosk)}/features.bin")[0] == 404
