"""Moods and the strength of colour: on screen, in JPEGs, in saved pictures, and in undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from livetint.engine.colour.cielab import srgb_to_lab
from PIL import Image

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk

pytestmark = needs("chromium")


def test_moods_and_strength_change_the_whole_picture(visitor: Visitor) -> None:
    before = visitor.shown_ab(0.2, 0.2)
    visitor.page.click("#moods-open")
    visitor.page.click("[data-mood=rich]")
    visitor.settled()
    assert visitor.shown_ab(0.2, 0.2) != before
    reference = visitor.page.locator("#references button").nth(2)
    reference.click()
    visitor.settled()
    assert visitor.evaluate("livetint.painting.edits.present.reference") == reference.get_attribute("data-reference")
    assert not visitor.page.locator("#references button").nth(0).is_visible(), "the picture itself"
    visitor.until("document.querySelectorAll('#references .loaded').length > 2", "coloured copies")
    spread = visitor.evaluate(
        "[...document.querySelectorAll('#references .loaded')].map((image) => { "
        "const canvas = document.createElement('canvas'), context = canvas.getContext('2d'); "
        "context.drawImage(image, 0, 0, 9, 9); const { data } = context.getImageData(0, 0, 9, 9); "
        "return Math.max(...[...Array(81).keys()].map((i) => Math.abs(data[i * 4] - data[i * 4 + 2]))); })"
    )
    assert min(spread) > 8, "each has colours"
    visitor.page.click("#moods-close")


def test_the_slider_of_strength_goes_from_grey_to_the_most_and_resets_with_the_picture(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    planes = visitor.shown_ab(0.5, 0.5)
    visitor.page.click("#moods-open")
    found = [slide(visitor, strength) for strength in (0, 50, 100, 150, 200)]
    assert found[0] < 0.5 and min(np.diff(found)) > 0.5, found
    assert visitor.shown_ab(0.5, 0.5) == planes, "the strength is applied on screen"
    visitor.page.click("#moods-close")
    visitor.page.click("#undo")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.scene().colour") == 1.5
    visitor.page.click("#restart")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.scene().colour") == 1
    slide(visitor, 200)
    visitor.page.click("#gallery-open")
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.until("!document.getElementById('picture').classList.contains('loading')")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.scene().colour") == 1
    visitor.page.click("#moods-open")
    assert visitor.page.locator("#strength").input_value() == "100"
    visitor.page.click("#moods-close")


def test_jpegs_follow_the_slider_of_strength(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=page_settings(pixels="jpeg"))
    visitor.open()
    found = [slide(visitor, strength) for strength in (0, 50, 100, 150, 200)]
    assert found[0] < 0.5 and min(np.diff(found)) > 0.5, found
    visitor.close()


def slide(visitor: Visitor, strength: int) -> float:
    """Move the slider of strength; returns the mean chroma of the picture on screen."""
    visitor.page.locator("#strength").evaluate(
        "(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }",
        strength,
    )
    visitor.settled()
    return chroma_on_screen(visitor)


def chroma_on_screen(visitor: Visitor) -> float:
    """Mean chroma of the pixels that the page draws. The page picks every eighth of them: JSON of all took 12 s."""
    pixels = visitor.evaluate(
        "(() => { const { view } = livetint, pixels = view.read(livetint.painting.stage.scene()), picked = [];"
        " const { width, height } = view.canvas;"
        " for (let y = 0; y < height; y += 8) for (let x = 0; x < width; x += 8) {"
        "   const at = (y * width + x) * 4; picked.push(pixels[at], pixels[at + 1], pixels[at + 2]); }"
        " return picked; })()"
    )
    lab = srgb_to_lab(np.array(pixels, np.float64).reshape(1, -1, 3) / 255)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def test_saved_pictures_have_the_strength_that_is_shown(visitor: Visitor, tmp_path: Path) -> None:
    visitor.place(0.5, 0.5)
    visitor.evaluate("livetint.painting.edits.apply({ strength: 0 })")
    visitor.evaluate("livetint.painting.changed()")
    with visitor.page.expect_download() as download:
        visitor.page.click("#save")
    download.value.save_as(tmp_path / "grey.png")
    rgb = np.asarray(Image.open(tmp_path / "grey.png")).astype(int)
    assert np.abs(rgb - rgb.mean(-1, keepdims=True)).max() <= 1
    visitor.page.click("#saved-close")


def test_a_touch_that_leaves_the_slider_where_it_was_is_no_step(visitor: Visitor) -> None:
    visitor.page.click("#moods-open")
    visitor.page.locator("#strength").dispatch_event("pointerdown")
    visitor.page.locator("#strength").dispatch_event("pointerup")
    for steps, mood in enumerate(("rich", "cool"), 1):
        visitor.page.click(f"[data-mood={mood}]")
        assert visitor.evaluate("livetint.painting.edits.past.length") == steps
    visitor.page.click("#moods-close")
    visitor.page.click("#undo")
    assert visitor.evaluate("livetint.painting.edits.present.mood") == "rich"
    visitor.settled()
