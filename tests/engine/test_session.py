"""A session on the bundled model: edits, undo, colours at the hints, suggestions, JSON."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from livetint.engine import GlobalHints, Hint, OnnxRunner, Photo, Session, find_model
from livetint.engine.bundle import Bundle
from livetint.engine.colour.cielab import in_gamut, project_into_gamut, srgb_to_lab
from livetint.engine.colour.metrics import delta_e
from livetint.engine.edits import parse_edits
from livetint.engine.errors import ConfigError, HintRejected, RunnerError
from livetint.engine.hints import patch_bounds
from livetint.engine.models import bundled_folder
from livetint.engine.runners.base import check_vivid

PHOTOS = bundled_folder().parent / "photos"


@pytest.fixture(scope="module")
def runner():
    with OnnxRunner(find_model("touch"), threads=1) as runner:
        yield runner


@pytest.fixture(scope="module")
def coffee() -> Photo:
    return Photo.open(PHOTOS / "coffee.jpg")


@pytest.fixture
def session(coffee, runner) -> Session:
    return Session(coffee, runner)


def shown_at(session: Session, x: float, y: float) -> np.ndarray:
    rgb = session.render()
    row, column = int(y * rgb.shape[0]), int(x * rgb.shape[1])
    return srgb_to_lab(rgb[row, column].astype(np.float64) / 255)


PLACES = [(0.2, 0.25), (0.7, 0.3), (0.45, 0.6), (0.15, 0.8), (0.85, 0.75)]


@pytest.mark.parametrize("name", ["coffee", "abandoned-dust-bowl-home", "chelsea-the-cat"])
def test_the_colour_at_every_hint_is_that_of_the_hint(runner, name):
    session = Session(Photo.open(PHOTOS / f"{name}.jpg"), runner)
    colours = [(60, 40), (-40, 30), (10, -50), (0, 0), (30, 60)]
    for (x, y), (a, b) in zip(PLACES, colours, strict=True):
        session.add(x, y, a, b)
    for (x, y), (a, b) in zip(PLACES, colours, strict=True):
        target = project_into_gamut(np.array([session.lightness_at(x, y), a, b]))
        assert delta_e(shown_at(session, x, y), target) <= 3


def test_colour_spreads_smoothly_beyond_the_patch(session):
    """Around a hint ab changes by at most 2 from one working pixel to the next wherever L is smooth.

    An edge of L, such as the cup's white rim, and one of the network's cells (4 pixels) around it are not smooth.
    """
    before = session.ab
    session.add(0.2, 0.25, 50, 40)
    top, bottom, left, right = patch_bounds(0.2, 0.25, 41, 256, 256)
    window = session.ab[:, top:bottom, left:right]
    whole = session.photo.working_L
    edge = cv2.dilate(whole, np.ones((3, 3))) - cv2.erode(whole, np.ones((3, 3))) > 30
    near_edge = cv2.dilate(edge.astype(np.uint8), np.ones((9, 9)))[top:bottom, left:right] > 0
    L = np.where(near_edge, np.nan, whole[top:bottom, left:right])
    for axis in (1, 2):
        step = np.linalg.norm(np.diff(window, axis=axis), axis=0)
        smooth = np.abs(np.diff(L, axis=axis - 1)) < 1
        assert smooth.sum() > 300 and step[smooth].max() <= 2
    moved = np.linalg.norm(session.ab - before, axis=0)
    assert (moved > 5).sum() > 20 * 25


def test_a_grey_hint_makes_a_coloured_region_grey_and_survives_json(session, coffee, runner):
    chroma = np.linalg.norm(session.ab, axis=0)
    row, column = np.unravel_index(chroma.argmax(), chroma.shape)
    x, y = (column + 0.5) / 256, (row + 0.5) / 256
    assert chroma.max() > 10
    session.add(x, y, 0, 0)
    assert np.linalg.norm(session.ab[:, row, column]) <= 3
    again = Session(coffee, runner)
    again.load_json(session.to_json())
    assert again.hints == session.hints
    np.testing.assert_array_equal(again.ab, session.ab)


def test_a_hint_of_another_size_changes_ab(session):
    index = session.add(0.45, 0.6, 40, 40, size=1)
    small = session.ab
    session.resize(index, 9)
    assert np.abs(session.ab - small).max() > 0.2


def test_global_hints_change_ab_and_can_be_undone(session):
    plain = session.ab
    session.set_global(GlobalHints(saturation=0.9))
    assert np.abs(session.ab - plain).max() > 0.2
    assert session.undo()
    np.testing.assert_array_equal(session.ab, plain)


def test_suggestions_follow_every_edit(session):
    before = session.suggest(0.45, 0.6)
    assert len(before.swatches) == 9
    assert all(in_gamut(np.array([before.L, s.a, s.b])) for s in before.swatches)
    session.add(0.47, 0.62, -40, 35)
    after = session.suggest(0.45, 0.6)
    assert after != before
    nearest = min(np.hypot(s.a - after.current[0], s.b - after.current[1]) for s in after.swatches)
    assert nearest < 15
    with pytest.raises(HintRejected):
        session.suggest(1.5, 0.5)
    with pytest.raises(HintRejected):
        session.suggest(0.5, 0.5, count=0)


def test_added_hints_are_projected_at_the_lightness_under_them_and_set_hints_are_not(session):
    session.add(0.2, 0.25, 120, -120)
    hint = session.hints[0]
    assert in_gamut(np.array([session.lightness_at(0.2, 0.25), hint.a, hint.b]))
    session.set_hints([Hint(0.2, 0.25, 120, -120)])
    assert session.hints[0].a == 120


def test_the_129th_hint_is_refused_in_a_plain_sentence(session):
    many = [Hint(i / 128, 0.5, 10, 10) for i in range(128)]
    session.set_hints(many)
    assert np.isfinite(session.ab).all()
    with pytest.raises(HintRejected, match="at most 128 hints"):
        session.add(0.5, 0.5, 0, 0)
    assert len(session.hints) == 128


def test_calls_with_other_numbers_of_hints_do_not_change_the_answer(runner, coffee):
    """The number of hints is dynamic: a call with more hints in between does not change the answer."""
    features = runner.encode(coffee.working_L)
    hint = [Hint(0.3, 0.4, 30, 20)]
    first = runner.colorize(features, hint)
    runner.colorize(features, [Hint(0.1, 0.1, 5, 5)] * 7)
    np.testing.assert_array_equal(runner.colorize(features, hint), first)


def test_distributions_sum_to_one_anywhere(runner, coffee):
    features = runner.encode(coffee.working_L)
    points = np.array([[0, 0], [1, 1], [0.5, 0.5], [0.999, 0.001]], np.float32)
    p = runner.distribution(features, [Hint(0.5, 0.5, 30, 20)], GlobalHints(), points)
    assert p.shape == (4, 313) and (p >= 0).all()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-4)


def test_a_closed_runner_and_a_wrong_size_are_refused(coffee):
    runner = OnnxRunner(Bundle.load(bundled_folder() / "touch"), threads=1)
    with pytest.raises(RunnerError, match="works at"):
        runner.encode(coffee.L)
    runner.close()
    with pytest.raises(RunnerError, match="closed"):
        runner.encode(coffee.working_L)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"schema": 1}', '{"schema": 2, "hints": []}', '{"schema": 1, "hints": [{"x": 1}]}',
        '{"schema": 1, "hints": [], "extra": 0}', '{"schema": 1, "hints": [{"x": "a", "y": 0, "a": 0, "b": 0}]}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_malformed_json_changes_nothing(session, text):
    session.add(0.5, 0.5, 10, 10)
    with pytest.raises(ConfigError):
        session.load_json(text)
    assert len(session.hints) == 1


def test_impossible_hints_in_json_are_refused():
    table = {"schema": 1, "hints": [{"x": 2, "y": 0, "a": 0, "b": 0}]}
    with pytest.raises(HintRejected):
        parse_edits(json.dumps(table))


class StubRunner:
    """Answers at once, since these tests are about edits, not colours."""

    def __init__(self) -> None:
        self.bundle = find_model("touch")

    def encode(self, L, vivid=1.0):
        return self.with_vivid(L, vivid)

    def with_vivid(self, features, vivid):
        check_vivid(self.bundle, vivid)
        return features

    def colorize(self, features, hints, global_hints=None):
        return np.zeros((2, 256, 256), np.float32)


POINTS = st.tuples(st.floats(0, 1), st.floats(0, 1))


class EditsMachine(RuleBasedStateMachine):
    """Any sequence of edits equals a plain list of snapshots."""

    def __init__(self) -> None:
        super().__init__()
        photo = Photo.from_rgb(np.full((20, 30, 3), 128, np.uint8))
        self.session = Session(photo, StubRunner())  # type: ignore[arg-type]
        self.snapshots, self.at = [self.state()], 0

    def state(self) -> tuple[object, ...]:
        return self.session.hints, self.session.vivid, self.session.strength, self.session.painter.vivid

    def record(self) -> None:
        self.snapshots = [*self.snapshots[: self.at + 1], self.state()]
        self.at += 1

    @rule(x=st.floats(0, 1), y=st.floats(0, 1), a=st.floats(-90, 90), b=st.floats(-90, 90))
    def add(self, x, y, a, b):
        self.session.add(x, y, a, b)
        self.record()

    @rule(lines=st.lists(st.lists(POINTS, min_size=1, max_size=4), min_size=1, max_size=3), a=st.floats(-90, 90))
    def paint(self, lines, a):
        self.session.add_stroke(lines, a, 20)
        self.record()

    @rule(which=st.integers(0, 5), line=st.lists(POINTS, min_size=1, max_size=3))
    def paint_another_place(self, which, line):
        if which < len(self.session.hints):
            self.session.add_line(which, line)
            self.record()

    @rule(vivid=st.floats(0.5, 2), strength=st.floats(0, 2))
    def strengthen(self, vivid, strength):
        self.session.set_vivid(vivid)
        self.record()
        self.session.set_strength(strength)
        self.record()

    @rule(much=st.floats(2.01))
    def refuse(self, much):
        for impossible in (much, -1, float("nan")):
            with pytest.raises(HintRejected, match="is not possible"):
                self.session.set_vivid(impossible)
            with pytest.raises(HintRejected, match="is not possible"):
                self.session.set_strength(impossible)

    @rule(which=st.integers(0, 5), x=st.floats(0, 1), size=st.integers(1, 9))
    def change(self, which, x, size):
        if which < len(self.session.hints):
            self.session.move(which, x, 1 - x)
            self.record()
            self.session.resize(which, size)
            self.record()
            self.session.recolour(which, 5, -5)
            self.record()
        else:
            with pytest.raises(HintRejected):
                self.session.move(which, x, x)

    @rule(which=st.integers(0, 3))
    def delete(self, which):
        if which < len(self.session.hints):
            self.session.delete(which)
            self.record()

    @rule()
    def clear(self):
        self.session.clear()
        self.record()

    @rule()
    def undo(self):
        assert self.session.undo() == (self.at > 0)
        self.at = max(0, self.at - 1)

    @rule()
    def redo(self):
        assert self.session.redo() == (self.at < len(self.snapshots) - 1)
        self.at = min(len(self.snapshots) - 1, self.at + 1)

    @invariant()
    def agrees(self):
        assert self.state() == self.snapshots[self.at]
        assert self.session.can_undo == (self.at > 0)
        assert self.session.can_redo == (self.at < len(self.snapshots) - 1)


def test_clear_resets_the_strength_and_keeps_vivid(session):
    session.set_vivid(1.3)
    session.set_strength(0.5)
    session.add(0.2, 0.25, 20, 20)
    session.clear()
    assert (session.hints, session.strength, session.vivid) == ((), 1.0, 1.3)
    assert session.undo() and session.strength == 0.5


def test_vivid_multiplies_automatic_colours_and_hints_keep_theirs_exactly(session):
    plain = session.ab
    hint = Hint(0.45, 0.6, 20, 30)
    session.set_vivid(1.4)
    np.testing.assert_allclose(session.ab, plain * 1.4, atol=1e-3)
    session.set_hints([hint])
    assert np.hypot(*(session.ab[:, int(0.6 * 256), int(0.45 * 256)] - (hint.a, hint.b))) < 1
    assert session.undo() and session.undo()
    np.testing.assert_array_equal(session.ab, plain)
    assert session.redo() and np.abs(session.ab - plain).max() > 1


def chroma(rgb: np.ndarray) -> float:
    lab = srgb_to_lab(rgb / 255.0)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from(sorted(path.stem for path in PHOTOS.glob("*.jpg"))),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(-128, 128), st.floats(-128, 128)), max_size=4),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_chroma_rises_with_strength_from_grey(runner, name, picks, vivid):
    session = Session(Photo.open(PHOTOS / f"{name}.jpg"), runner, vivid)
    for pick in picks:
        session.add(*pick)
    ab, found = session.ab, []
    for strength in np.linspace(0, 2, 9):
        session.set_strength(float(strength))
        found.append(chroma(session.render((192, 128))))
        assert session.ab is ab, "strength changes the picture, not ab"
    assert found[0] < 0.5 and min(np.diff(found)) > 0, found


def test_at_strength_one_the_picture_is_as_it_comes(session):
    session.add(0.45, 0.6, 20, 30)
    plain = session.render()
    session.set_strength(1.5)
    assert np.abs(session.render().astype(int) - plain).max() > 5
    session.set_strength(1)
    np.testing.assert_array_equal(session.render(), plain)


@settings(deadline=None)
@given(st.floats(0.5, 2), st.floats(0, 2))
def test_vivid_and_strength_survive_json(vivid, strength):
    photo = Photo.from_rgb(np.full((20, 30, 3), 128, np.uint8))
    first, second = (Session(photo, StubRunner()) for _ in range(2))  # type: ignore[arg-type]
    first.set_vivid(vivid)
    first.set_strength(strength)
    second.load_json(first.to_json())
    assert (second.vivid, second.strength, second.painter.vivid) == (vivid, strength, vivid)
    assert second.undo() and (second.vivid, second.strength) == (1, 1)


def test_json_of_earlier_versions_has_neither_and_means_one(session):
    session.set_vivid(1.3)
    session.set_strength(0.5)
    session.load_json('{"schema": 1, "hints": [], "global": {}}')
    assert (session.vivid, session.strength) == (1, 1)


@pytest.mark.parametrize("text", ['"vivid": 3', '"strength": -1', '"vivid": "much"', '"strength": NaN'])
def test_impossible_numbers_in_json_change_nothing(session, text):
    session.set_strength(0.5)
    with pytest.raises((ConfigError, HintRejected)):
        session.load_json('{"schema": 1, "hints": [], ' + text + "}")
    assert session.strength == 0.5


TestEdits = EditsMachine.TestCase
TestEdits.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
