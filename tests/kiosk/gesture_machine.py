"""Random gestures of many hands as a hypothesis state machine; after each rule the page agrees with a model.

The model is the history that undo and redo should follow, and a `Session` in this process that gets the page's hints:
the page must show what it computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from livetint.engine.regions import Region
from livetint.engine.session import Session

from .page import Visitor
from .running import until

# Raw pointer events as fast as the page takes them: [kind, id, x, y (0…1 of the stage), contact size].
_HANDS = """async (events) => {
  const stage = document.getElementById('stage'), box = stage.getBoundingClientRect();
  for (const [kind, id, x, y, size] of events) {
    if (kind === 'frame') await new Promise(requestAnimationFrame);
    else stage.dispatchEvent(new PointerEvent(`pointer${kind}`, { pointerId: id, pointerType: 'touch', width: size,
      height: size, clientX: box.left + x * box.width, clientY: box.top + y * box.height,
      bubbles: true, cancelable: true }));
  }
}"""
_OPEN = """async () => {
  const { pictures, palette } = livetint.painting;
  await pictures.open(pictures.photo);
  palette.forget();
  livetint.painting.modes.setBrush(false);
}"""
# Whether a tap at a place of the stage takes hold of a point, or does something with the chosen one.
_ON_A_POINT = """([x, y]) => { const { painting } = livetint, { w, h } = painting.stage.size;
  return painting.modes.mode || painting.markers.nearest(x * w, y * h, 7.5 * painting.panel.pxPerMm()) >= 0; }"""
_PAUSE = "(() => { const { whereNext } = livetint; if (whereNext.canOffer) whereNext.ask(); })()"
FINGER, PALM = 8, 200
BUTTONS = (
    "delete", "grey", "bigger", "smaller", "restart", "zoom-in", "zoom-out", "split",
    "brush", "inside", "fitting", "all-colours", "ring-grey",
)  # fmt: skip
PLACES = ((0.2, 0.2), (0.5, 0.5), (0.8, 0.6))

places = st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
chaos = st.lists(
    st.tuples(
        st.sampled_from(["down", "move", "move", "up", "cancel", "frame"]),
        st.integers(1, 3), st.floats(0, 1), st.floats(0, 1), st.sampled_from([FINGER, FINGER, PALM]),
    ),
    min_size=3, max_size=14,
)  # fmt: skip


class Hands(RuleBasedStateMachine):
    """Needs `visitor` with an open picture, and `session` with the same picture and model."""

    visitor: Visitor
    session: Session

    def __init__(self) -> None:
        super().__init__()
        self.past: list[Any] = []
        self.future: list[Any] = []
        self.present: Any = None

    @initialize()
    def begin(self) -> None:
        self.visitor.page.evaluate(_OPEN)
        self.settle()
        self.present = self.edits
        assert self.present["hints"] == []

    @property
    def edits(self) -> Any:
        return self.visitor.evaluate("livetint.painting.edits.present")

    def settle(self) -> None:
        self.visitor.until("livetint.painting.pending === null", "the answer to a tap")
        self.visitor.settled()

    def one_step(self) -> None:
        """Wait for the answer. What was done is at most one step of undo."""
        self.settle()
        found = self.edits
        if found != self.present:
            self.past.append(self.present)
            self.present, self.future = found, []

    @rule(place=places)
    def tap(self, place: tuple[float, float]) -> None:
        """A tap that closes the ring changes nothing, nor does one that moves the line of the comparison."""
        comparing = self.visitor.evaluate("livetint.painting.compare.on")
        closes = self.visitor.ring and not self.visitor.page.evaluate(_ON_A_POINT, place)
        self.visitor.page.evaluate(_HANDS, [("down", 1, *place, FINGER), ("up", 1, *place, FINGER)])
        if comparing:
            self.settle()
            assert self.edits == self.present
        elif closes:
            self.settle()
            assert not self.visitor.ring
            assert self.edits == self.present
            self.visitor.page.evaluate(_HANDS, [("down", 1, *place, FINGER), ("up", 1, *place, FINGER)])
        self.one_step()

    @precondition(lambda self: self.visitor.ring)
    @rule(way=st.sampled_from(["Escape", "hold"]))
    def close_the_ring(self, way: str) -> None:
        if way == "hold":
            self.visitor.page.evaluate("document.getElementById('hold').dispatchEvent(new Event('click'))")
        else:
            self.visitor.page.keyboard.press(way)
        assert not self.visitor.ring
        self.one_step()

    @rule(start=places, end=places, ring=st.booleans())
    def drag(self, start: tuple[float, float], end: tuple[float, float], ring: bool) -> None:
        if not ring:
            self.visitor.page.keyboard.press("Escape")
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        moves = [("move", 1, *middle, FINGER), ("frame", 0, 0, 0, 0), ("move", 1, *end, FINGER), ("frame", 0, 0, 0, 0)]
        self.visitor.page.evaluate(_HANDS, [("down", 1, *start, FINGER), *moves, ("up", 1, *end, FINGER)])
        self.one_step()

    @rule(events=chaos)
    def many_hands(self, events: list[tuple[str, int, float, float, int]]) -> None:
        lifted = [("up", id, 0.5, 0.5, FINGER) for id in (1, 2, 3)]
        self.visitor.page.evaluate(_HANDS, [*events, *lifted])
        self.settle()
        assert self.visitor.evaluate("livetint.painting.gestures.fingers.size") == 0
        # Several gestures may be several steps, so the model takes over the page's history.
        self.past, self.present, self.future = self.visitor.evaluate(
            "(({ past, present, future }) => [past, present, [...future]])(livetint.painting.edits)"
        )

    @precondition(lambda self: self.past)
    @rule()
    def undo(self) -> None:
        self.visitor.page.evaluate("document.getElementById('undo').click()")
        self.settle()
        self.future.append(self.present)
        self.present = self.past.pop()

    @precondition(lambda self: self.future)
    @rule()
    def redo(self) -> None:
        self.visitor.page.evaluate("document.getElementById('redo').click()")
        self.settle()
        self.past.append(self.present)
        self.present = self.future.pop()

    @rule(button=st.sampled_from(BUTTONS))
    def press(self, button: str) -> None:
        self.visitor.page.evaluate("(id) => document.getElementById(id).click()", button)
        self.one_step()

    @rule(number=st.integers(0, 7))
    def swatch(self, number: int) -> None:
        self.visitor.page.evaluate("(i) => document.querySelectorAll('.swatch')[i]?.click()", number)
        self.one_step()

    @rule(place=places)
    def move_by_taps(self, place: tuple[float, float]) -> None:
        self.visitor.page.evaluate("document.getElementById('move').click()")
        self.visitor.page.evaluate(_HANDS, [("down", 1, *place, FINGER), ("up", 1, *place, FINGER)])
        self.one_step()

    @rule(place=places)
    def same_colour(self, place: tuple[float, float]) -> None:
        self.visitor.page.evaluate("document.getElementById('same').click()")
        self.visitor.page.evaluate(_HANDS, [("down", 1, *place, FINGER), ("up", 1, *place, FINGER)])
        self.one_step()

    @rule(corners=st.lists(places, min_size=2, max_size=5))
    def draw_around(self, corners: list[tuple[float, float]]) -> None:
        """A line that is drawn around something belongs to the chosen hint; without one the finger paints."""
        self.visitor.page.evaluate("document.getElementById('draw').click()")
        moves = [event for corner in corners[1:] for event in (("move", 1, *corner, FINGER), ("frame", 0, 0, 0, 0))]
        self.visitor.page.evaluate(_HANDS, [("down", 1, *corners[0], FINGER), *moves, ("up", 1, *corners[-1], FINGER)])
        self.one_step()

    @rule(grow_px=st.integers(-12, 12))
    def grow(self, grow_px: int) -> None:
        self.visitor.page.evaluate(
            "(v) => { const s = document.getElementById('grow'); s.value = v; "
            "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }",
            2 * grow_px,
        )
        self.one_step()

    @rule(strength=st.integers(0, 200))
    def strengthen(self, strength: int) -> None:
        self.visitor.page.evaluate(
            "(v) => { const s = document.getElementById('strength'); s.value = v; "
            "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }",
            strength,
        )
        self.one_step()

    @invariant()
    def the_history_is_as_undo_and_redo_walk_it(self) -> None:
        if self.present is not None:
            assert self.edits == self.present

    @rule(waits=st.booleans())
    def pause(self, waits: bool) -> None:
        """The page asks where to touch next, as it does after a while, and the visitor may not wait for the answer."""
        self.visitor.page.evaluate(_PAUSE)
        if waits:
            self.visitor.until("livetint.whereNext.offered || livetint.whereNext.asked < 0", "a place to touch next")
        assert self.edits == self.present

    @invariant()
    def a_place_to_touch_next_is_shown_to_one_who_only_looks(self) -> None:
        assert self.visitor.evaluate("!livetint.whereNext.offered || livetint.whereNext.canOffer")

    @invariant()
    def the_bar_is_there_with_the_ring(self) -> None:
        ring = "livetint.painting.ringShown && livetint.painting.active"
        assert self.visitor.evaluate(f"document.getElementById('ring-bar').hidden === !({ring})")

    @invariant()
    def an_open_ring_has_its_point(self) -> None:
        assert not self.visitor.ring or self.visitor.evaluate("livetint.painting.chosen") >= 0

    @invariant()
    def the_page_shows_what_the_engine_makes_of_these_hints(self) -> None:
        if self.present is None:
            return
        self.session.clear()
        for hint in self.present["hints"]:
            self.add(hint)
        expected = [self.session.ab[:, int(y * 256), int(x * 256)] for x, y in PLACES]
        shown = [self.visitor.shown_ab(x, y) for x, y in PLACES]
        np.testing.assert_allclose(shown, expected, atol=0.5)
        assert self.visitor.evaluate("livetint.painting.stage.scene().colour") == self.present["strength"]

    def add(self, hint: dict[str, Any]) -> None:
        """Add a hint of the page to the session."""
        x, y, *colour = (hint[key] for key in ("x", "y", "a", "b", "size"))
        if "lines" not in hint and "inside" not in hint:
            self.session.add(x, y, *colour)
            return
        index = self.session.add_stroke(hint.get("lines", [[[x, y]]]), *colour)
        if "inside" in hint:
            self.session.set_inside(index, Region(**hint["inside"]))

    def teardown(self) -> None:
        until(lambda: self.visitor.evaluate("livetint.link.up"), "the link")
