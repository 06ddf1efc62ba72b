"""Layouts: every control is on screen and large enough in millimetres, 1024 x 600 to 4K, portrait and low reach."""

from __future__ import annotations

from typing import Any

import pytest
from livetint.kiosk.settings import LANGUAGES

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk

pytestmark = needs("chromium")

# Every control that can be seen: name, rectangle, whether it is a primary one.
_TARGETS = """[...document.querySelectorAll('button, #field')]
  .filter((e) => e.checkVisibility({ visibilityProperty: true })
  && !e.closest('dialog') && !e.matches('.mark, #cross, #begin')).map((e) => { const b = e.getBoundingClientRect();
  return { name: e.id || e.className || e.textContent, x: b.x, y: b.y, w: b.width, h: b.height,
    primary: e.matches('.primary, .swatch'), swatch: e.matches('.swatch'),
    cut: e.scrollWidth > e.clientWidth + 1 }; })"""


def targets_of(visitor: Visitor) -> list[dict[str, Any]]:
    """The controls once no animation runs; swatches grow into their size."""
    visitor.still()
    return visitor.evaluate(_TARGETS)


@pytest.mark.parametrize(
    ("width", "height", "width_mm"),
    [(1024, 600, 223.0), (1920, 1080, 477.0), (3840, 2160, 597.0), (1080, 1920, 300.0), (800, 1280, 136.0)],
    ids=["10 inches", "21 inches", "4K", "portrait", "small portrait"],
)
def test_targets_are_on_screen_and_large_enough(
    browser: Any, kiosk: RunningKiosk, width: int, height: int, width_mm: float
) -> None:
    visitor = Visitor(browser, kiosk.address, width, height, before=page_settings(panel_width_mm=width_mm))
    visitor.open(2)
    visitor.place(0.5, 0.5)
    visitor.until("document.querySelectorAll('.swatch').length === 5 && !swatches.hidden", "five swatches")
    px = width / width_mm
    targets = targets_of(visitor)
    for target in targets:
        assert target["x"] >= -0.5 and target["x"] + target["w"] <= width + 0.5, target
        assert target["y"] >= -0.5 and target["y"] + target["h"] <= height + 0.5, target
        # Panels under ten inches shrink all alike; nothing is ever under 9 mm.
        least = (20 if target["primary"] else 15) if width_mm >= 200 else 9
        assert min(target["w"], target["h"]) / px >= least - 0.1, target
        assert not target["cut"], target
    swatches = [target for target in targets if target["swatch"]]
    for i, one in enumerate(swatches):
        for other in swatches[:i]:
            apart = ((one["x"] - other["x"]) ** 2 + (one["y"] - other["y"]) ** 2) ** 0.5
            assert apart >= one["w"], "swatches do not overlap"
    visitor.close()


# Names the swatches that lie on one another, on the point, on the zoom buttons, on the ring's bar or outside the stage,
# for points all over the stage.
_CROWDED = """(() => { const { swatches, colours, stage } = livetint.painting, found = [];
  const box = (e) => e.getBoundingClientRect(), zoom = box(document.getElementById('zoom')), room = box(stage.box);
  for (let i = 0; i <= 400; i += 1) {
    const p = stage.toPhoto((i % 21) / 20 * stage.size.w, Math.floor(i / 21) / 20 * stage.size.h);
    if (p.x < 0 || p.x > 1 || p.y < 0 || p.y > 1) continue;
    swatches.show({ ...p, a: 0, b: 0, size: 5 }, colours);
    const bar = box(document.getElementById('ring-bar'));
    if (bar.left < zoom.right && bar.right > zoom.left && bar.bottom > zoom.top) found.push([i, 'bar on zoom']);
    if (bar.left < room.left || bar.right > room.right || bar.top < room.top) found.push([i, 'bar outside']);
    const point = stage.toStage(p), circles = [...document.querySelectorAll('.swatch')].map((e) => { const b = box(e);
      return { x: b.x + b.width / 2, y: b.y + b.height / 2, r: b.width / 2 }; });
    circles.forEach((c, j) => {
      const far = (x, y) => Math.hypot(c.x - x, c.y - y);
      if (circles.slice(0, j).some((o) => far(o.x, o.y) < 2 * c.r)) found.push([i, 'one another']);
      if (far(point.x + room.x, point.y + room.y) < c.r + 8) found.push([i, 'the point']);
      const near = (b) => far(Math.min(Math.max(c.x, b.left), b.right), Math.min(Math.max(c.y, b.top), b.bottom)) < c.r;
      if (near(zoom)) found.push([i, 'the zoom buttons']);
      if (near(bar)) found.push([i, 'the bar']);
      if (c.x - c.r < room.left - 1 || c.x + c.r > room.right + 1 || c.y - c.r < room.top - 1
        || c.y + c.r > room.bottom + 1) found.push([i, 'outside']); }); }
  return found; })()"""


@pytest.mark.parametrize(
    ("width", "height", "width_mm", "language"),
    [(1280, 800, 0, "en"), (1024, 600, 223, "ar"), (1080, 1920, 300, "en"), (800, 1280, 136, "en")],
)
def test_swatches_have_space_wherever_the_point_is(
    browser: Any, kiosk: RunningKiosk, width: int, height: int, width_mm: float, language: str
) -> None:
    settings = page_settings(panel_width_mm=width_mm, language=language)
    visitor = Visitor(browser, kiosk.address, width, height, before=settings, reduced_motion="reduce")
    visitor.open(3)
    visitor.place(0.5, 0.5)
    visitor.until("document.querySelectorAll('.swatch').length === 5 && !swatches.hidden", "five swatches")
    assert visitor.evaluate(_CROWDED) == []
    visitor.page.click("#all-colours")
    # Eight, and fewer where they would not have space: ring_bar.js.
    assert visitor.page.locator(".swatch").count() == {800: 5, 1024: 6}.get(width, 8)
    assert visitor.evaluate(_CROWDED) == []
    visitor.close()


def test_low_reach_keeps_controls_in_the_lower_part_and_fills_the_height(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, 1080, 1920, before=page_settings(panel_width_mm=300, reach="low"))
    visitor.open(2)
    visitor.place(0.5, 0.5)
    assert all(target["y"] >= 1920 * 0.34 - 1 for target in targets_of(visitor))
    top = visitor.evaluate("document.getElementById('stage').getBoundingClientRect().top")
    assert top < 1920 * 0.02
    visitor.page.keyboard.press("Escape")
    visitor.place(0.5, 0.05)  # whose ring would lie above
    assert all(target["y"] >= 1920 * 0.34 - 1 for target in targets_of(visitor))
    visitor.page.click("#moods-open")
    assert visitor.evaluate("document.getElementById('moods').getBoundingClientRect().top") >= 1920 * 0.3
    visitor.close()


def test_words_fit_a_small_panel_in_every_language(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, 1024, 600, before=page_settings(panel_width_mm=223))
    visitor.open(3)
    visitor.place(0.5, 0.5)
    for language in LANGUAGES:
        visitor.page.click("#language")
        visitor.page.click(f"#language-list [lang={language}]")
        visitor.until(f"document.documentElement.lang === '{language}' && !languages.open")
        for target in targets_of(visitor):
            assert not target["cut"], (language, target)
            assert target["x"] >= -0.5 and target["x"] + target["w"] <= 1024.5, (language, target)
        for name in ("title", "caption"):
            fits = f"(({{ scrollHeight, clientHeight }}) => scrollHeight <= clientHeight + 2)({name})"
            assert visitor.evaluate(fits), (language, name)
    visitor.close()
