"""Strokes: spacing by arc length, fair shares, edits, JSON, and colours along a stroke."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine import Hint, OnnxRunner, Photo, Session, find_model
from livetint.engine.edits import parse_edits
from livetint.engine.errors import ConfigError, HintRejected
from livetint.engine.models import bundled_folder
from livetint.engine.strokes import (
    MAX_LINE_POINTS,
    SPACING_PX,
    Stroke,
    fair_shares,
    points_of,
    points_wanted,
)

POINT = st.tuples(st.floats(0, 1), st.floats(0, 1))
LINE = st.lists(POINT, min_size=1, max_size=20).map(tuple)
ACROSS = ((0.1, 0.5), (0.9, 0.5))


@pytest.fixture(scope="module")
def runner() -> Iterator[OnnxRunner]:
    with OnnxRunner(find_model("touch"), threads=1) as runner:
        yield runner


@functools.cache
def _shared_session() -> Session:
    return Session(Photo.from_rgb(np.full((20, 30, 3), 128, np.uint8)), OnnxRunner(find_model("touch"), threads=1))


@pytest.fixture
def session(runner: OnnxRunner) -> Session:
    return Session(Photo.open(bundled_folder().parent / "photos/coffee.jpg"), runner)


def on_line(point: Hint, line: tuple[tuple[float, float], ...]) -> bool:
    """Whether a point lies on a line, within a hundredth of a working pixel."""
    if len(line) == 1:
        return bool(np.allclose((point.x, point.y), line[0], atol=1e-5))
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        length = np.hypot(x1 - x0, y1 - y0)
        detour = np.hypot(point.x - x0, point.y - y0) + np.hypot(point.x - x1, point.y - y1)
        if detour <= length + 1e-7:
            return True
    return False


@settings(deadline=None)
@given(st.lists(LINE, min_size=1, max_size=4).map(tuple))
def test_points_lie_on_their_lines_from_end_to_end_at_most_a_spacing_apart(lines) -> None:
    (points,) = points_of([Stroke(lines, 10, 20, 7)], 0)
    for line in lines:
        count = points_wanted(line)
        mine, points = points[:count], points[count:]
        assert all(on_line(point, line) and (point.a, point.b, point.size) == (10, 20, 7) for point in mine)
        if count > 1:
            assert np.allclose((mine[0].x, mine[0].y), line[0]) and np.allclose((mine[-1].x, mine[-1].y), line[-1])
        apart = [256 * np.hypot(p.x - q.x, p.y - q.y) for p, q in itertools.pairwise(mine)]
        assert all(distance <= SPACING_PX + 1e-6 for distance in apart)
    assert not points


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(0, 200))
def test_shares_are_fair_and_use_the_room(wanted: list[int], more: int) -> None:
    room = len(wanted) + more
    shares = fair_shares(wanted, room)
    assert sum(shares) == min(room, sum(wanted))
    assert all(1 <= share <= want for share, want in zip(shares, wanted, strict=True))
    lacking = [share for share, want in zip(shares, wanted, strict=True) if share < want]
    assert not lacking or max(shares) - min(lacking) <= 1


def test_points_and_strokes_share_the_room_and_nothing_is_dropped() -> None:
    single = [Hint(0.5, 0.1 * i, 0, 0) for i in range(5)]
    strokes = [Stroke((ACROSS,), 10, 10), Stroke((((0.2, 0.2), (0.24, 0.2)),), 20, 20)]
    found = points_of([*single, *strokes], 20)
    assert [len(points) for points in found] == [1, 1, 1, 1, 1, 13, 2]
    assert [points[0] for points in found[:5]] == single
    found = points_of([*single, *strokes], 7)
    assert [len(points) for points in found] == [1] * 7
    assert (found[5][0].x, found[5][0].y) == (0.5, 0.5)
    with pytest.raises(HintRejected, match="room for 6 points and lines of strokes, not for 7; remove some"):
        points_of([*single, *strokes], 6)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "at least one line"),
        (((),), "at least one point"),
        ((((0.5, 1.2),),), "outside the photograph"),
        ((((0.5, float("nan")),),), "outside the photograph"),
        ((((0.5, 0.5, 0.5),),), "lists of points"),
        (((0.5, 0.5),), "lists of points"),
        ((((0.5, 0.5),) * (MAX_LINE_POINTS + 1),), "at most 10000 are possible"),
    ],
)
def test_impossible_strokes_are_refused(session: Session, lines, words: str) -> None:
    with pytest.raises(HintRejected, match=words):
        session.add_stroke(lines, 10, 10)
    assert session.hints == () and not session.can_undo


def test_a_stroke_is_one_hint_with_one_undo(session: Session) -> None:
    index = session.add_stroke([ACROSS], 30, -20)
    assert index == 0 and len(session.hints) == 1 and len(session.points) == 19
    session.recolour(index, -20, 20)
    session.resize(index, 3)
    session.add_line(index, ((0.5, 0.9),))
    session.move(index, 0.05, 0.6)
    (stroke,) = session.hints
    assert isinstance(stroke, Stroke) and (stroke.a, stroke.b, stroke.size) == (-20, 20, 3)
    np.testing.assert_allclose(stroke.lines[0], [(0.05, 0.6), (0.85, 0.6)])
    np.testing.assert_allclose(stroke.lines[1], [(0.45, 1.0)])
    for _ in range(5):
        assert session.undo()
    assert session.hints == () and not session.can_undo


def test_a_moved_stroke_stops_at_the_edges_and_keeps_its_shape() -> None:
    stroke = Stroke((ACROSS,), 10, 10).moved(0.9, 1.0)
    np.testing.assert_allclose(stroke.lines[0], [(0.2, 1.0), (1.0, 1.0)])
    with pytest.raises(HintRejected, match="outside the photograph"):
        stroke.moved(1.5, 0.5)


def test_a_point_with_another_place_is_one_colour_at_two(session: Session) -> None:
    index = session.add(0.3, 0.3, 40, 20)
    session.add_line(index, ((0.7, 0.7),))
    assert [(round(p.x, 6), round(p.y, 6)) for p in session.points] == [(0.3, 0.3), (0.7, 0.7)]
    session.recolour(index, 0, 30)
    assert len(session.hints) == 1
    for point in session.points:
        assert np.hypot(session.colour_at(point.x, point.y)[0] - point.a,
                        session.colour_at(point.x, point.y)[1] - point.b) < 1  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(st.lists(LINE, min_size=1, max_size=3), st.floats(-90, 90))
def test_strokes_survive_json(lines, a: float) -> None:
    shared = _shared_session()
    shared.clear()
    shared.add_stroke(lines, a, 5, 3)
    shared.add(0.5, 0.25, 10, 10)
    assert parse_edits(shared.to_json()).hints == shared.hints


@pytest.mark.parametrize(
    "places", [{}, {"x": 0.5}, {"x": 0.5, "y": 0.5, "lines": [[[0.5, 0.5]]]}, {"lines": [[[0.5]]]}]
)
def test_hints_with_neither_or_both_forms_are_refused(session: Session, places: dict) -> None:
    with pytest.raises(ConfigError, match="the hints file is not usable"):
        session.load_json(json.dumps({"schema": 1, "hints": [{**places, "a": 1, "b": 2}]}))


def test_colours_follow_a_stroke_and_suggestions_leave_it_out(session: Session) -> None:
    plain = session.suggest(0.5, 0.5)
    index = session.add_stroke([ACROSS], 35, -40)
    for x in (0.12, 0.5, 0.88):
        a, b = session.colour_at(x, 0.5)
        point = min(session.points, key=lambda p: abs(p.x - x))
        assert np.hypot(a - point.a, b - point.b) < 6
    again = session.suggest(0.5, 0.5)
    assert again.swatches == plain.swatches
    shares = session.influence(index)
    assert shares[32, 8:56].min() > 0.5
    with pytest.raises(HintRejected, match="there is no hint 1"):
        session.influence(1)


def test_a_saved_stroke_colours_the_same_photograph_again(session: Session, tmp_path: Path) -> None:
    session.add_stroke([ACROSS], 35, -40)
    session.save(tmp_path / "hints.json")
    text = (tmp_path / "hints.json").read_text()
    ab = session.ab
    session.clear()
    session.load_json(text)
    np.testing.assert_array_equal(session.ab, ab)
