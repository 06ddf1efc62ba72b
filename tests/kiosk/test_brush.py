"""The brush, several places of one colour, and "stay inside", as a visitor uses them: by finger and by keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livetint.engine.strokes import Stroke
from livetint.kiosk.messages import MAX_BYTES

from ..needs import needs
from .page import Visitor, one_visitor
from .running import RunningKiosk, until

pytestmark = needs("chromium")

# Open the picture anew, as nobody has touched it.
_ANEW = """async () => { const { painting } = livetint; await painting.pictures.open(painting.photo);
  painting.palette.forget(); painting.modes.setBrush(false); }"""
SEPIA = (8.0, 18.0)  # the stub's colour where no hint is near


@pytest.fixture(scope="module")
def page(chromium: Any, kiosk: RunningKiosk) -> Iterator[Visitor]:
    """A page for all tests of this file; no error may have happened on it."""
    yield from one_visitor(chromium, kiosk.address)


@pytest.fixture
def visitor(page: Visitor) -> Visitor:
    page.page.evaluate(_ANEW)
    page.settled()
    return page


def paint(visitor: Visitor, *places: tuple[float, float]) -> None:
    """Move a finger through places of the picture, a frame for each."""
    visitor.fingers("Start", visitor.at(*places[0]))
    for place in places[1:]:
        visitor.fingers("Move", visitor.at(*place))
        visitor.page.evaluate("new Promise(requestAnimationFrame)")
    visitor.fingers("End")
    visitor.until("livetint.painting.gestures.fingers.size === 0 && livetint.painting.pending === null", "the end")
    visitor.settled()


def press(visitor: Visitor, *names: str) -> None:
    for name in names:
        visitor.page.locator(f"#{name}").tap()


def outline(visitor: Visitor) -> list[float]:
    """Left, top, right and bottom (0…1 of the picture) of the outline on the stage; [] where none is shown."""
    return visitor.page.evaluate(
        """() => { const path = document.querySelector('#shapes .outline'), box = path.getBBox();
        if (!path.getAttribute('d')) return [];
        const { toPhoto } = livetint.painting.stage, at = (x, y) => toPhoto.call(livetint.painting.stage, x, y);
        const [from, to] = [at(box.x, box.y), at(box.x + box.width, box.y + box.height)];
        return [from.x, from.y, to.x, to.y]; }"""
    )


def label(visitor: Visitor, marker: int) -> str:
    """What a screen reader says of a marker."""
    return visitor.page.locator(".mark").nth(marker).get_attribute("aria-label") or ""


def inside_of(hint: dict[str, Any]) -> dict[str, Any]:
    assert hint["inside"]["polygons"], "the outline has come"
    return hint["inside"]


def test_a_drag_with_the_brush_is_one_line_and_one_step_of_undo(visitor: Visitor) -> None:
    press(visitor, "brush")
    assert "Paint over" in visitor.page.locator("#coach").inner_text()
    paint(visitor, (0.2, 0.3), (0.3, 0.3), (0.4, 0.301), (0.5, 0.3), (0.7, 0.3))
    (hint,) = visitor.hints
    (line,) = hint["lines"]
    assert 2 <= len(line) < 5, "points that add nothing are left out"
    np.testing.assert_allclose([line[0], line[-1]], [(0.2, 0.3), (0.7, 0.3)], atol=0.005)
    for x in (0.25, 0.45, 0.65):
        np.testing.assert_allclose(visitor.shown_ab(x, 0.3), (hint["a"], hint["b"]), atol=3)
    assert visitor.ring and label(visitor, 0).startswith("Brush line 1")
    paint(visitor, (0.2, 0.6), (0.6, 0.7))
    assert len(visitor.hints) == 2, "a drag beside the open ring paints"
    visitor.tap(0.9, 0.1)
    visitor.settled()
    assert len(visitor.hints) == 2 and not visitor.ring, "a tap beside it closes it"
    paint(visitor, (0.6, 0.7), (0.6, 0.5))
    np.testing.assert_allclose(visitor.hints[1]["lines"], [[(0.2, 0.4), (0.6, 0.5)]], atol=0.01)
    for left in (2, 1, 0):
        visitor.page.click("#undo")
        assert len(visitor.hints) == left or left == 2
    assert visitor.hints == []
    visitor.settled()
    np.testing.assert_allclose(visitor.shown_ab(0.45, 0.3), SEPIA, atol=0.1)


def test_keys_paint_a_line(visitor: Visitor) -> None:
    visitor.page.locator("#brush").press("Enter")
    cross = visitor.page.locator("#cross")
    assert "Enter paints on to here" in (cross.get_attribute("aria-label") or "")
    cross.press("Enter")
    until(lambda: visitor.ring, "the first point")
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "Enter", "Shift+ArrowDown", "Enter"):
        cross.press(key)
    (hint,) = visitor.hints
    assert len(hint["lines"][0]) == 3
    cross.press("Escape")
    cross.press("Enter")
    until(lambda: len(visitor.hints) == 2, "another line begins")
    until(lambda: visitor.ring, "its ring")
    visitor.page.locator("#same").press("Enter")
    assert visitor.evaluate("document.activeElement.id") == "cross", "the focus goes where the place is chosen"
    for key in ("Shift+ArrowUp", "Enter"):
        visitor.page.keyboard.press(key)
    assert len(visitor.hints) == 2 and len(visitor.hints[1]["lines"]) == 2
    visitor.settled()


def test_one_colour_at_several_places(visitor: Visitor) -> None:
    visitor.place(0.3, 0.4)
    first = visitor.hints[0]
    press(visitor, "same")
    assert visitor.page.get_by_text("Touch where the same colour should go").is_visible()
    visitor.tap(0.7, 0.6)
    visitor.settled()
    (hint,) = visitor.hints
    assert (hint["a"], hint["b"]) == (first["a"], first["b"]) and len(hint["lines"]) == 2
    np.testing.assert_allclose(visitor.shown_ab(0.7, 0.6), (hint["a"], hint["b"]), atol=1)
    labels = [label(visitor, 0), label(visitor, 1)]
    assert [words.endswith(f"(place {n} of 2)") for n, words in enumerate(labels, 1)] == [True, True]
    paint(visitor, (0.7, 0.6), (0.8, 0.3))
    np.testing.assert_allclose(visitor.hints[0]["lines"][1], [(0.8, 0.3)], atol=0.01)
    assert visitor.hints[0]["x"] == first["x"], "the other place stays"
    visitor.page.locator(".swatch").nth(1).click()
    visitor.settled()
    hint = visitor.hints[0]
    for x, y in ((0.3, 0.4), (0.8, 0.3)):
        np.testing.assert_allclose(visitor.shown_ab(x, y), (hint["a"], hint["b"]), atol=1)
    visitor.page.locator(".mark").first.press("Delete")
    visitor.settled()
    (hint,) = visitor.hints
    assert "lines" not in hint and hint["x"] == pytest.approx(0.8, abs=0.01)


def test_a_hint_stays_inside_its_outline_which_follows_it_and_grows(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    until(lambda: visitor.ring, "the ring")
    assert outline(visitor) == [] and not visitor.page.locator("#region").is_visible()
    press(visitor, "inside")
    visitor.settled()
    kept = inside_of(visitor.hints[0])
    assert not kept["fill"]
    left, top, right, bottom = outline(visitor)
    assert left < 0.4 < right and top < 0.5 < bottom
    # The touch alone reaches farther than its outline.
    beyond = right + 2 / 256
    np.testing.assert_allclose(visitor.shown_ab(beyond, 0.5), SEPIA, atol=0.1)
    visitor.page.locator("#grow").press("ArrowRight")
    visitor.page.locator("#grow").press("ArrowRight")
    visitor.settled()
    assert inside_of(visitor.hints[0])["grow_px"] == 4
    until(lambda: outline(visitor)[2] > right + 3 / 256, "the outline that has grown")
    visitor.page.click("#undo")
    visitor.settled()
    assert inside_of(visitor.hints[0])["grow_px"] == 2, "each key is a step"
    paint(visitor, (0.4, 0.5), (0.6, 0.5), (0.7, 0.4))
    assert visitor.hints[0]["x"] == pytest.approx(0.7, abs=0.01)
    assert inside_of(visitor.hints[0])["grow_px"] == 2
    moved_left, _, moved_right, _ = outline(visitor)
    assert moved_left < 0.7 < moved_right and moved_left > right
    visitor.page.click("#undo")
    visitor.settled()
    assert inside_of(visitor.hints[0])["polygons"] == kept["polygons"], "its outline came in the same step"
    press(visitor, "inside")
    visitor.settled()
    assert "inside" not in visitor.hints[0] and outline(visitor) == []


def test_a_line_drawn_around_a_thing_keeps_the_colour_in_it(visitor: Visitor) -> None:
    visitor.place(0.4, 0.4)
    press(visitor, "inside")
    visitor.settled()
    press(visitor, "draw")
    assert visitor.page.get_by_text("Draw around what should have this colour").is_visible()
    assert not visitor.page.locator("#ring-bar, .swatch").first.is_visible(), "nothing is in the finger's way"
    visitor.page.keyboard.press("Escape")
    assert visitor.evaluate("livetint.painting.modes.mode") == "" and not visitor.ring
    visitor.tap(0.4, 0.4)
    until(lambda: visitor.page.locator("#draw").is_visible(), "the ring again")
    press(visitor, "draw")
    paint(visitor, (0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6), (0.3, 0.32))
    hint = visitor.hints[0]
    assert inside_of(hint)["fill"] and len(hint["inside"]["polygons"]) == 1
    np.testing.assert_allclose(outline(visitor), (0.3, 0.3, 0.6, 0.6), atol=0.01)
    np.testing.assert_allclose(visitor.shown_ab(0.55, 0.55), (hint["a"], hint["b"]), atol=1)
    np.testing.assert_allclose(visitor.shown_ab(0.2, 0.5), SEPIA, atol=0.1)
    paint(visitor, (0.4, 0.4), (0.5, 0.4))
    assert visitor.hints[0]["inside"] == hint["inside"], "it stays where it was drawn"
    for _ in range(2):
        visitor.page.click("#undo")
    assert not inside_of(visitor.hints[0])["fill"]
    visitor.settled()


def test_a_full_picture_says_so(visitor: Visitor) -> None:
    visitor.page.evaluate(
        """() => { const { painting } = livetint, points = [...Array(126).keys()];
        const lines = points.map((i) => [[0.05 + 0.9 * (i % 14) / 14, 0.1 + 0.8 * Math.floor(i / 14) / 9]]);
        painting.edits.apply({ hints: [{ x: lines[0][0][0], y: lines[0][0][1], a: 30, b: 20, size: 5, lines }] });
        painting.changed(); painting.showPoints(); }"""
    )
    visitor.settled()
    press(visitor, "brush")
    for start, end in (((0.3, 0.02), (0.6, 0.02)), ((0.97, 0.3), (0.97, 0.8)), ((0.3, 0.89), (0.6, 0.89))):
        visitor.page.keyboard.press("Escape")
        paint(visitor, start, end)
    assert len(visitor.hints) == 3
    assert visitor.page.get_by_text("as many points as this picture takes").is_visible()
    visitor.page.evaluate(
        """() => { const { painting } = livetint, square = [[0.1, 0.1], [0.2, 0.1], [0.2, 0.2]];
        const inside = { polygons: [square], grow_px: 0, edge_px: 6, fill: true };
        painting.edits.apply({ hints: [...Array(12).keys()].map((i) => (
          { x: 0.05 + i / 14, y: 0.5, a: 9, b: 9, size: 5, inside })) });
        painting.changed(); painting.showPoints(); }"""
    )
    visitor.place(0.95, 0.9)
    press(visitor, "inside")
    assert visitor.page.get_by_text("as many outlines as this picture takes").is_visible()
    assert "inside" not in visitor.hints[-1]
    visitor.settled()


def test_the_largest_edit_fits_into_a_message(visitor: Visitor) -> None:
    length = visitor.page.evaluate(
        """async () => {
        const { fits, drawnOutline, MAX_LINE_POINTS, MAX_PLACES, MAX_REGIONS } = await import('/strokes.js');
        const { toMessage } = await import('/requests.js');
        const long = (n) => Array.from({ length: n }, (_, i) => [0.1234, Number(((i * 37 % 9999) / 10000).toFixed(4))]);
        const polygons = [long(Math.floor(MAX_LINE_POINTS / 2 / MAX_REGIONS))];
        const lines = [long(Math.floor(MAX_LINE_POINTS / 2 / MAX_PLACES))];
        const inside = { ...drawnOutline(long(4)), polygons, grow_px: -24 };
        const hint = { x: 1 / 3, y: 1 / 7, a: -100 / 3, b: 100 / 7, size: 5, lines };
        const hints = Array.from({ length: MAX_PLACES }, (_, i) => (i < MAX_REGIONS ? { ...hint, inside } : hint));
        if (!fits(hints) || fits([...hints, hints[0]])) return Infinity;
        const id = '0'.repeat(16), rest = { type: 'edit', seq: 1e6, want: 'planes', width: 1280, t_event: 1e6 / 7 };
        const message = toMessage(id, { hints, mood: 'sunlit', reference: id, strength: 1.05 });
        return JSON.stringify({ ...rest, point: [1 / 3, 1 / 7], outline: 127, ...message }).length; }"""
    )
    assert length < MAX_BYTES


unit = st.integers(0, 10_000).map(lambda n: n / 10_000)
lines_of_points = st.lists(st.tuples(unit, unit), min_size=2, max_size=40)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=lines_of_points, to=st.tuples(unit, unit))
def test_lines_keep_their_course_and_stay_on_the_picture(page: Visitor, line: Any, to: tuple[float, float]) -> None:
    """A simplified line strays by no more than 0.6 of 256 pixels; a moved one keeps its shape and does not leave."""
    short, shifted = page.page.evaluate(
        """async ([line, [x, y]]) => { const { simplified, moved } = await import('/strokes.js');
        const hint = { x: 0, y: 0, a: 0, b: 0, size: 5, lines: [line] };
        return [simplified(line), moved(hint, 0, { x, y }).lines[0]]; }""",
        [line, to],
    )
    assert (short[0], short[-1]) == (list(line[0]), list(line[-1]))
    drawn = Stroke((tuple(map(tuple, short)),), 0, 0)
    assert all(drawn.passes(x, y, 0.61) for x, y in line)
    shifted = np.array(shifted)
    assert shifted.min() >= 0 and shifted.max() <= 1
    shape = shifted - shifted[0]
    np.testing.assert_allclose(shape, np.array(line) - line[0], atol=1e-9)
    wanted = np.array(to) - line[-1]
    free = np.clip(wanted, -np.min(line, axis=0), 1 - np.max(line, axis=0))
    np.testing.assert_allclose(shifted[-1] - line[-1], free, atol=1e-9)
