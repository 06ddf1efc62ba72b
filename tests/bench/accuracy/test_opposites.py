"""Opposite hints: lines are even or have an edge, and known colourings get the right scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from livetint.bench.accuracy import opposites
from livetint.bench.accuracy.opposites import Line, find_line, judge, measure_opposites, opposite_hints
from livetint.bench.accuracy.protocols import Picture
from livetint.engine.colour.cielab import in_gamut

from ...needs import needs
from ..stubs import ConstantRunner


def stepped():
    L = np.full((256, 256), 40, np.float32)
    L[:, 128:] = 75
    return L


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("turned", [False, True])
def test_even_lines_cross_no_edge_and_edge_lines_have_one_in_their_middle(turned):
    L = stepped().T if turned else stepped()
    for seed in range(20):
        even = find_line(L, 32, "even", rng(seed))
        edge = find_line(L, 32, "edge", rng(seed))
        assert even and edge
        assert np.ptp(even.along(L)) == 0
        values = edge.along(L)
        assert values[0] == 40 and values[-1] == 75
        assert abs(int(np.argmax(np.diff(values))) - 16) <= 3
        assert edge.down == turned


def test_no_line_is_found_where_none_fits():
    noise = rng().uniform(0, 100, (256, 256)).astype(np.float32)
    assert find_line(noise, 32, "even", rng()) is None
    assert find_line(np.full((256, 256), 50, np.float32), 32, "edge", rng()) is None


def test_hints_are_opposite_in_gamut_and_at_the_ends_of_the_line():
    line = Line(100, 60, 32, down=True)
    first, last = opposite_hints(stepped(), line, rng())
    assert (first.x * 256, first.y * 256) == (100.5, 60.5) and (last.x * 256, last.y * 256) == (100.5, 92.5)
    assert first.a * last.a <= 0 and first.b * last.b <= 0
    assert in_gamut(np.array([stepped()[60, 100], first.a, first.b]))


def test_a_ramp_is_smooth_and_a_step_is_in_the_middle():
    line = Line(100, 60, 32, down=False)
    hints = opposite_hints(stepped(), line, rng())
    (a, b), (c, d) = ((hint.a, hint.b) for hint in hints)
    share = np.clip((np.arange(256) - 60) / 32, 0, 1)
    ramp = np.stack([np.tile(p + share * (q - p), (256, 1)) for p, q in ((a, c), (b, d))])
    step = np.stack([np.tile(np.where(share < 0.5, p, q), (256, 1)) for p, q in ((a, c), (b, d))])
    smooth, sharp = judge(ramp, line, hints), judge(step, line, hints)
    assert smooth["sharpest"] == pytest.approx(1 / 32) and smooth["on_middle"] == pytest.approx(8 / 32)
    assert sharp["sharpest"] == pytest.approx(1) and sharp["on_middle"] == pytest.approx(1)
    assert sharp["at_hints"] == pytest.approx(0, abs=1e-4)


@needs("scipy")
def test_levins_colours_change_at_the_edge_and_smoothly_without_one():
    L = stepped() + rng().normal(0, 0.3, (256, 256)).astype(np.float32)
    lab = np.zeros((256, 256, 3))
    lab[..., 0] = L
    picture = Picture(np.zeros((256, 256, 3), np.uint8), lab, L)
    tally = measure_opposites(ConstantRunner(), [picture], levin=True)
    table = opposites.as_table(tally)
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["levin"]["edge"]["32"]["on_middle"]["mean"] > 0.8
    assert table["levin"]["even"]["32"]["on_middle"]["mean"] < 0.5
    assert set(table["network"]["even"]) == {"16", "32", "64"}
    assert "opposite touches 16 px apart, edge" in opposites.as_lines(table)
