"""Touches after a pause and touches faster than answers, with a simulated clock."""

from __future__ import annotations

import json

import pytest
from livetint.bench.latency import scenarios
from livetint.bench.latency.measures import MEASURES
from livetint.bench.latency.run import Run, measure_all
from livetint.bench.latency.scenarios import Scenario, after_idle, as_lines, open_loop
from livetint.bench.measure import lines

from ..stubs import ConstantRunner, hasten


class World:
    """Time passes when a touch is answered and during `sleep`."""

    def __init__(self, touch_s):
        self.now, self.touch_s, self.slept = 0.0, touch_s, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def run(self):
        self.now += self.touch_s

    def open_loop(self, rate, seconds=2.0):
        return open_loop(self.run, rate, seconds, self.clock, self.sleep)


def test_after_idle_pauses_before_every_touch_and_gives_no_p99():
    world = World(0.005)
    found = after_idle(world.run, clock=world.clock, sleep=world.sleep)
    assert world.slept == [1.0] * 64
    assert found["p50"] == pytest.approx(5) and found["p90"] == pytest.approx(5) and found["p99"] is None


def test_answers_faster_than_touches_drop_nothing_and_age_by_one_touch():
    found = World(0.004).open_loop(120)
    assert (found["touches"], found["answered"], found["dropped"]) == (240, 240, 0)
    assert found["age"]["p50"] == pytest.approx(4, abs=0.01)
    assert found["interval"]["p50"] == pytest.approx(1000 / 120, abs=0.01)


def test_answers_slower_than_touches_drop_the_older_ones_and_never_queue():
    found = World(0.020).open_loop(240)
    assert found["answered"] == pytest.approx(100, abs=2)
    assert found["dropped"] == 480 - found["answered"]
    assert found["age"]["worst"] <= 20 + 1000 / 240 + 0.01
    assert found["interval"]["p50"] == pytest.approx(20, abs=0.01)


def test_the_last_touch_is_always_answered():
    for touch_s in (0.001, 0.0167, 0.9):
        world = World(touch_s)
        found = world.open_loop(60, 1.0)
        assert world.now >= 59 / 60 + touch_s - 1e-9
        assert found["answered"] >= 1


def test_lines_say_what_was_dropped():
    text = as_lines("open-loop", {"touch_to_ab_16": {"240": World(0.02).open_loop(240)}})
    assert "at 240 Hz" in text and "dropped" in text


@pytest.mark.parametrize("name", ["after-idle", "open-loop"])
def test_a_scenario_run_gives_a_latency_table(name, monkeypatch):
    hasten(monkeypatch)
    for constant, value in (("IDLE_TOUCHES", 3), ("IDLE_PAUSE_S", 0.001), ("SECONDS", 0.05)):
        monkeypatch.setattr(scenarios, constant, value)
    table = measure_all(Run(ConstantRunner(), (16,), 1), [Scenario(name)])
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["scenario"] == name and "touch_to_ab_16" in table[name]
    assert {"n", "p50", "p90", "p99"} <= set(table["stages"]["touch_to_ab_16"])
    assert "touch_to_ab_16" in lines(MEASURES, table)
