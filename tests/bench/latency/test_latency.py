"""Timing in rounds, percentiles with floors, and the result file, with a simulated clock."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livetint.bench import percentiles
from livetint.bench.latency import samples, schedule
from livetint.bench.latency.against import Against
from livetint.bench.latency.beside import Beside, OtherBuild
from livetint.bench.latency.stopwatch import Stopwatch
from livetint.bench.latency.workloads import Workload, hint_sets, scene, stages, touches
from livetint.engine.errors import HintRejected
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner

from ..stubs import ConstantRunner, hasten, measured


class Clock:
    """Time passes only when a workload says so."""

    def __init__(self):
        self.now = 0.0
        self.taken = self.waited = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def watch(self):
        return Stopwatch(self, lambda: self.taken, lambda: self.waited, processors=2)

    def load(self, name, seconds, **settings):
        def run():
            self.now += seconds
            self.log.append(name)

        return Workload(name, run, **settings)


@pytest.mark.parametrize("rank", [90, 95, 99])
def test_a_floor_is_the_fewest_samples_with_two_beyond_the_percentile(rank):
    """With 99 % probability at least two of them lie beyond the true percentile."""
    above = 1 - rank / 100

    def at_most_one(n):
        return (1 - above) ** n + n * above * (1 - above) ** (n - 1)

    floor = percentiles.min_samples(rank)
    assert at_most_one(floor) <= 0.01 < at_most_one(floor - 1)


@pytest.mark.parametrize(("rank", "floor"), [(90, 64), (95, 130), (99, 662)])
def test_a_percentile_is_null_one_sample_under_its_floor(rank, floor):
    samples = np.arange(floor, dtype=float)
    assert percentiles.percentile(samples[:-1], rank) is None
    assert percentiles.percentile(samples, rank) is not None


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=200))
def test_percentiles_are_measured_values_in_rising_order(values):
    row = percentiles.summary([np.array(values)])
    found = [row[key] for key in ("p50", "p90", "p99", "worst") if row[key] is not None]
    assert found == sorted(found)
    assert set(row) >= {"n", "p50", "p90", "p99"}
    assert min(values) * 0.999 <= found[0] <= max(values) * 1.001


def test_a_ratio_is_that_of_the_medians_and_lies_in_its_interval():
    rng = np.random.default_rng(0)
    fast = [rng.normal(10, 0.5, 50) for _ in range(8)]
    slow = [3 * part for part in fast]
    found = percentiles.ratio(slow, fast)
    assert found["ratio"] == pytest.approx(3)
    assert found["low"] == pytest.approx(3) and found["high"] == pytest.approx(3)
    assert percentiles.ratio(slow[:1], fast[:1])["low"] is None


def test_rounds_interleave_and_every_workload_is_warmed_up_before_the_first():
    clock = Clock()
    loads = [clock.load("a", 0.01), clock.load("b", 0.02)]
    found = samples.measure(loads, touches=6, rounds=3, watch=clock.watch())
    assert [len(part) for part in found.rounds["a"]] == [2, 2, 2]
    np.testing.assert_allclose(percentiles.pooled(found.rounds["b"]), 20, rtol=1e-6)
    warm = clock.log[: clock.log.index("b")]
    assert len(warm) >= 10 and 0.01 * len(warm) >= 0.2
    timed = "".join(clock.log)[-18:]
    assert timed == "aaabbb" + "bbbaaa" + "aaabbb"


@pytest.mark.parametrize(
    ("taken", "waited", "lost"), [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.5, 0.0), (1.0, 0.4, 0.4), (0.4, 1.0, 0.2)]
)
def test_lost_is_the_smaller_of_what_others_took_and_what_this_process_waited(taken, waited, lost):
    """Per second: time of two CPU cores that went to others, and time this process waited for one."""
    clock = Clock()

    def run():
        clock.now += 0.1
        clock.taken += 0.1 * taken
        clock.waited += 0.1 * waited

    found = samples.measure([Workload("touch_to_ab_1", run)], touches=10, rounds=5, watch=clock.watch())
    assert found.lost["touch_to_ab_1"] == pytest.approx([lost] * 5, abs=1e-3)


def test_lost_is_none_where_the_system_keeps_no_account():
    clock = Clock()
    watch = Stopwatch(clock, lambda: None, lambda: None)
    found = samples.measure([clock.load("touch_to_ab_1", 0.01)], touches=10, rounds=5, watch=watch)
    assert found.lost["touch_to_ab_1"] == [None] * 5


def test_a_slow_workload_gets_fewer_samples_instead_of_a_longer_run():
    clock = Clock()
    loads = [clock.load("quick", 0.001), clock.load("slow", 3.0, share=0.1)]
    found = samples.measure(loads, touches=1000, rounds=4, watch=clock.watch(), length_s=24.0)
    assert [len(part) for part in found.rounds["quick"]] == [250] * 4
    assert [len(part) for part in found.rounds["slow"]] == [1, 2, 2, 2]
    row = found.summaries()["slow"]
    assert row["n"] == 7 and row["p90"] is None and row["p99"] is None


def test_a_run_keeps_its_length_on_a_slow_machine_and_times_everything_in_every_round():
    for slowness in (1, 10, 30):
        clock = Clock()
        loads = [
            clock.load("touch", 0.003 * slowness),
            *(clock.load(f"s{i}", 0.02 * slowness, share=0.1) for i in range(9)),
        ]
        start = clock.now
        found = samples.measure(loads, touches=1024, rounds=8, watch=clock.watch(), length_s=60.0)
        longest = 9 * (samples.WARM_UP_LIMIT_S + 0.02 * slowness) + 60 + 9 * 2 * 0.02 * slowness
        assert clock.now - start < longest
        assert all(len(parts) == 8 and min(map(len, parts)) >= 1 for parts in found.rounds.values())


def test_numbers_of_samples_adapt_to_a_machine_that_slows_down():
    clock = Clock()
    speed = [0.01]

    def run():
        clock.now += speed[0]
        if clock.now > 5:
            speed[0] = 0.5

    found = samples.measure([Workload("a", run)], touches=800, rounds=8, watch=clock.watch(), length_s=20.0)
    assert clock.now < 27
    assert 1 <= len(found.rounds["a"][-1]) < 15


def test_a_late_run_ends_after_five_rounds():
    clock = Clock()
    found = samples.measure([clock.load("a", 30.0)], touches=1024, rounds=8, watch=clock.watch(), length_s=60.0)
    assert found.number == 5 == samples.MIN_ROUNDS


def test_fewer_touches_make_a_shorter_run():
    assert samples.default_length_s(1024) == samples.default_length_s(10_000) == samples.RUN_S
    assert samples.default_length_s(100) < samples.RUN_S / 4


@given(
    st.lists(st.tuples(st.floats(1e-5, 3), st.integers(1, 500), st.sampled_from([1.0, 0.1])), min_size=1, max_size=9),
    st.floats(0, 100),
)
def test_shares_exceed_the_round_by_at_most_one_run_each(rows, left_s):
    loads = [Workload(str(i), lambda: None, share) for i, (_, _, share) in enumerate(rows)]
    costs = {str(i): cost for i, (cost, _, _) in enumerate(rows)}
    numbers = {str(i): number for i, (_, number, _) in enumerate(rows)}
    found = schedule.share_out(loads, costs, numbers, left_s)
    assert all(1 <= found[name] <= numbers[name] for name in found)
    taken = sum(costs[name] * (found[name] + schedule.spare_runs(costs[name])) for name in found if found[name] > 1)
    assert taken <= left_s + 1e-6


def test_the_last_hint_moves_from_set_to_set():
    sets = hint_sets(16)
    assert all(len(hints) == 16 for hints in sets)
    assert len({hints[-1] for hints in sets}) == len(sets)
    assert len({tuple(hints[:-1]) for hints in sets}) == 1
    assert hint_sets(0)[0] == []


def test_the_scene_is_always_the_same():
    np.testing.assert_array_equal(scene((64, 36)), scene((64, 36)))


def test_stages_of_a_touch_have_names_for_every_number_of_hints(monkeypatch):
    hasten(monkeypatch)
    runner = ConstantRunner()
    names = {load.name for load in [*touches(runner, (1, 16)), *stages(runner, (1, 16))]}
    assert {"touch_to_ab_1", "touch_to_ab_16", "encode", "open_1080p", "compose_4k", "distribution_16"} <= names
    assert {"touch_to_pixels_1080p_16", "touch_to_pixels_4k_1", "hints_to_input_16"} <= names


def test_matching_hints_is_a_stage_of_touch_on_the_cpu(monkeypatch):
    hasten(monkeypatch)
    with OnnxRunner(find_model("touch"), threads=1) as runner:
        loads = {load.name: load for load in stages(runner, (0, 16))}
    assert {"match_hints_0", "match_hints_16"} <= set(loads)
    loads["match_hints_16"].run()


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch)
        return measured(ConstantRunner(), (1, 16), Against(ConstantRunner((5.0, 5.0))))


def test_a_run_gives_the_documented_result(table):
    found, lines = table
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["schema"] == 1
    assert {"machine", "versions", "model_sha256", "stages", "ratios", "samples"} <= set(found)
    assert {"n", "p50", "p90", "p99"} <= set(found["stages"]["touch_to_ab_16"])
    assert found["stages"]["touch_to_ab_16"]["p99"] is None
    assert set(found["ratios"]) == {"touch_to_ab_1", "touch_to_ab_16", "encode"}
    assert "times as long as touch_to_ab_16" in lines
    assert {"touch_to_ab_16", "encode", "compose_1080p"} <= set(found["relative"])
    assert len(found["relative"]["encode"]["times"]) >= 5


def test_both_networks_run_in_the_same_rounds(table):
    found, _ = table
    ours, theirs = found["samples"]["touch_to_ab_16"], found["against"]["samples"]["touch_to_ab_16"]
    assert len(ours) == len(theirs) == found["rounds"] >= 5


def test_more_hints_than_the_model_takes_are_refused_before_anything_runs():
    runner = ConstantRunner(max_hints=8)
    with pytest.raises(HintRejected, match="at most 8"):
        measured(runner, (16,))
    assert not runner.asked


def test_warnings_name_a_busy_machine_and_rising_temperatures():
    table = {
        "stages": {"encode": {"variation": 0.2}},
        "lost": {"encode": [0.0, 0.3, None]},
        "machine": {"load_1min": 3.0, "usable_processors": 2, "governor": "powersave", "temperatures_c": {"z": 40}},
        "machine_after": {"temperatures_c": {"z": 60}},
    }
    text = " ".join(samples.warnings(table))
    assert "others took the CPU cores in 1 of 2 rounds" in text
    for word in ("busy", "unsteady", "powersave", "warmer"):
        assert word in text


def test_other_builds_and_numbers_of_threads_are_timed_in_the_same_rounds(monkeypatch):
    hasten(monkeypatch)
    sides = (OtherBuild("fp16", ConstantRunner(), 1), OtherBuild("2 threads", ConstantRunner(), 2))
    found, lines = measured(ConstantRunner(), (16,), Beside(sides))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["beside"]) == {"fp16", "2 threads"}
    side = found["beside"]["2 threads"]
    assert side["threads"] == 2 and set(side["ratios"]) == {"touch_to_ab_16", "encode"}
    assert len(side["samples"]["encode"]) == found["rounds"]
    assert not any(name.startswith("beside") for name in found["stages"])
    assert "fp16 takes" in lines


def test_encode_is_compared_with_a_touch_only_without_an_encoder():
    ours = samples.Samples({"touch_to_ab_16": [np.array([2.0])] * 5, "encode": [np.array([20.0])] * 5})
    planes = samples.Samples({"touch_to_ab_16": [np.array([400.0])] * 5})
    assert samples.ratios(ours, planes)["encode"]["ratio"] == 20
    staged = samples.Samples({"touch_to_ab_16": [np.array([400.0])] * 5, "encode": [np.array([40.0])] * 5})
    assert samples.ratios(ours, staged)["encode"]["ratio"] == 2


def test_more_hints_than_another_build_takes_are_refused_too():
    with pytest.raises(HintRejected, match="at most 8"):
        measured(ConstantRunner(), (16,), Beside([OtherBuild("b", ConstantRunner(max_hints=8), 1)]))
