"""Stages in turns with references: what is timed when, by which clock, and what is made anew."""

from __future__ import annotations

from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from livetint.bench.latency import paired
from livetint.bench.latency.paired import MIN_ROUNDS, ROUNDS, clock_of, measure, twin
from livetint.bench.latency.references import SHAPES, reference_of, references
from livetint.bench.latency.workloads import Workload, stages, touches
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner

from ..stubs import ConstantRunner, hasten


class World:
    """CPU time passes as the workloads say; the wall clock runs `slowness` times as fast."""

    def __init__(self, slowness=1.0):
        self.worked, self.slowness, self.log, self.made, self.open = 0.0, slowness, [], 0, 0

    def clock(self):
        return self.worked

    def wall(self):
        return self.worked * self.slowness

    def load(self, name, seconds):
        def run():
            self.worked += seconds
            self.log.append(name)

        return Workload(name, run)

    @contextmanager
    def fresh(self):
        self.made, self.open = self.made + 1, self.open + 1
        self.log.append("|")
        assert self.open == 1, "the last round's was given back"
        loads = [self.load("touch_to_ab_16", 0.010), self.load("encode", 0.060), self.load("hints_to_input_16", 1e-5)]
        yield loads, {name: self.load(name, 0.004) for name in SHAPES.values()}
        self.open -= 1

    def runs(self):
        """First letters of the workloads that ran, with a bar before every round."""
        return "".join(name[0] for name in self.log)

    def measure(self, length_s=1e9):
        return measure(self.fresh, self.clock, length_s, wall=self.wall)


def test_every_burst_lies_between_bursts_of_the_stages_reference():
    world = World()
    found = world.measure()
    assert {name: pairs.reference for name, pairs in found.items()} == {
        name: reference_of(name) for name in ("touch_to_ab_16", "encode", "hints_to_input_16")
    }
    for name, ms in (("touch_to_ab_16", 10), ("encode", 60), ("hints_to_input_16", 0.01)):
        for times, beside in zip(found[name].times, found[name].beside, strict=True):
            assert len(times) == len(beside) >= paired.MIN_PAIRS
            np.testing.assert_allclose(times, ms)
            np.testing.assert_allclose(beside, 4)
    assert "rtrtrtr" in world.runs() and "rererer" in world.runs()


def test_every_round_is_made_anew_and_reverses_the_order():
    world = World()
    found = world.measure()
    assert world.made == ROUNDS == len(found["encode"].times) and world.open == 0
    first, second = world.runs().split("|")[1:3]
    assert first.index("rtrtr") < first.index("rerer")
    assert second.index("rerer") < second.index("rtrtr")


def test_a_busy_machine_gets_fewer_rounds_but_at_least_five():
    world = World(slowness=100.0)
    found = world.measure(length_s=10.0)
    assert world.made == MIN_ROUNDS == len(found["touch_to_ab_16"].times)
    alone = World().measure()
    assert len(found["touch_to_ab_16"].times[0]) == len(alone["touch_to_ab_16"].times[0])


def test_every_reference_runs_and_every_stage_has_one():
    for load in references(1).values():
        load.run()
    names = [load.name for load in [*touches(ConstantRunner(), (1,)), *stages(ConstantRunner(), (1,))]]
    assert {reference_of(name) for name in names} == set(SHAPES.values())
    assert reference_of("something else") is None


def test_the_twin_runs_the_same_bundle_on_one_thread_and_leaves_opencv_as_it_was(monkeypatch):
    hasten(monkeypatch)
    before = cv2.getNumThreads()
    with OnnxRunner(find_model("touch")) as runner:
        assert clock_of(runner) is not clock_of(ConstantRunner())
        with twin(runner, (1,)) as (loads, beside):
            assert cv2.getNumThreads() == 1
            for load in (*loads, *beside.values()):
                load.run()
        assert cv2.getNumThreads() == before
        runner.encode(np.zeros((256, 256), np.float32))
    assert {"touch_to_ab_1", "encode", "compose_1080p"} <= {load.name for load in loads}
    assert not any("4k" in load.name for load in loads)


def test_opencv_gets_its_threads_back_after_an_error():
    before = cv2.getNumThreads()
    with pytest.raises(RuntimeError, match="broken"), paired.opencv_threads(1):
        raise RuntimeError("broken")
    assert cv2.getNumThreads() == before


def test_the_result_holds_every_burst_with_five_digits():
    pairs = paired.Pairs("reference_small", [[1.2345678]], [[0.00123456789]])
    assert paired.as_table({"encode": pairs}) == {
        "encode": {"reference": "reference_small", "times": [[1.2346]], "beside": [[0.0012346]]}
    }
