"""The verdict on two latency files: a slower build is found; noise and a slower machine are not taken for one."""

from __future__ import annotations

import copy
import json
from collections import Counter
from functools import cache
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from livetint.bench.report.compare import FASTER, SAME, SLOWER, UNCLEAR, Change, compare, overall
from livetint.engine.errors import ConfigError


def result(seed=0, rounds=10, noise=0.03, day=1.0, touch_ms=3.0):
    """A synthetic latency file: rounds drift together with their references, as on a real machine."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, ms in (("touch_to_ab_16", touch_ms), ("encode", 24.0)):
        drift = day * rng.normal(1, 0.1, rounds)
        placed = rng.normal(1, noise, rounds).clip(0.5)
        times, beside = ([list(of * d * rng.normal(1, noise, 9).clip(0.5)) for d in drift] for of in (ms, 2.0))
        times = [[value * place for value in part] for part, place in zip(times, placed, strict=True)]
        found[name] = {"reference": "reference_small", "times": times, "beside": beside}
    return {"kind": "latency", "schema": 1, "threads": 2, "device": "cpu", "relative": found}


def slowed(table, factor, stage="touch_to_ab_16"):
    table = copy.deepcopy(table)
    rows = table["relative"][stage]
    rows["times"] = [[factor * value for value in part] for part in rows["times"]]
    return table


def verdicts(old, new):
    return {change.stage: change.verdict for change in compare(old, new)}


@pytest.mark.parametrize("seed", range(5))
def test_a_stage_that_is_a_fifth_slower_is_called_slower_and_no_other_stage(seed):
    found = verdicts(result(seed), slowed(result(seed + 100), 1.2))
    assert found == {"touch_to_ab_16": SLOWER, "encode": SAME}


@pytest.mark.parametrize("seed", range(5))
def test_a_second_run_of_one_build_is_the_same_even_on_a_slower_machine(seed):
    assert set(verdicts(result(seed), result(seed + 100, day=1.6)).values()) == {SAME}


def test_a_faster_build_is_called_faster():
    assert verdicts(result(1), slowed(result(2), 0.7))["touch_to_ab_16"] == FASTER


def test_too_much_noise_is_unclear_and_the_reason_says_how_much():
    changes = compare(result(1, noise=0.4), result(2, noise=0.4))
    assert {change.verdict for change in changes} == {UNCLEAR}
    assert all("rounds differ by" in change.why for change in changes)


def test_one_outlier_in_each_round_does_not_change_the_verdict():
    other = result(2)
    for part in other["relative"]["encode"]["times"]:
        part[3] *= 50
    assert verdicts(result(1), other)["encode"] == SAME


def test_swapping_the_files_inverts_the_ratio():
    there, back = (compare(*pair) for pair in ((result(1), result(2)), (result(2), result(1))))
    for one, other in zip(there, back, strict=True):
        assert one.ratio * other.ratio == pytest.approx(1)


def test_the_worst_stage_decides_overall():
    def change(verdict):
        return Change("s", 1, 1, 1, verdict)

    assert overall([change(SAME), change(SLOWER), change(UNCLEAR)]) == SLOWER
    assert overall([change(SAME), change(FASTER)]) == FASTER
    assert overall([change(FASTER), change(UNCLEAR)]) == UNCLEAR
    assert overall([]) == SAME


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "accuracy"}, "only two files"),
        ({"relative": {}}, "only two files"),
        ({"device": "cuda"}, "device"),
        ({"machine": {"processor": "another"}}, "processor"),
    ],
)
def test_files_that_do_not_match_are_refused(change, word):
    with pytest.raises(ConfigError, match=word):
        compare(result(), {**result(), **change})


def test_a_file_from_before_the_paired_bursts_is_refused():
    old = {key: value for key, value in result().items() if key != "relative"}
    old["paired"] = {"encode": {"reference": "reference_small", "beside": [[1.0]], "lost": [0.0]}}
    with pytest.raises(ConfigError, match="this version"):
        compare(old, result())


@pytest.mark.parametrize("key", ["times", "beside", "reference"])
def test_a_damaged_file_is_refused(key):
    other = result(2)
    del other["relative"]["encode"][key]
    with pytest.raises(ConfigError, match="measure again"):
        compare(result(), other)


def test_files_with_different_references_are_refused():
    other = result(2)
    other["relative"]["encode"]["reference"] = "reference_other"
    with pytest.raises(ConfigError, match="different references"):
        compare(result(), other)


def test_fewer_than_five_rounds_are_refused():
    with pytest.raises(ConfigError, match="at least 5 rounds"):
        compare(result(), result(rounds=4))


def test_the_number_of_threads_of_the_percentiles_does_not_matter():
    assert set(verdicts({**result(1), "threads": 1}, result(2)).values()) == {SAME}


RECORDED = Path(__file__).parent / "recorded"
# Runs of one build (see `recording`) on two CPU cores, most of the time without other work; and the same build with
# every touch, to ab and to pixels, slowed down by a fifth.
ONE_BUILD = tuple(path.stem for path in sorted(RECORDED.glob("run-*.json")))
SLOWED = tuple(path.stem for path in sorted(RECORDED.glob("slowed-*.json")))
TOUCHES = ("touch_to_ab_16", "touch_to_ab_128")
WITH_TOUCHES = (*TOUCHES, "touch_to_pixels_1080p_16", "touch_to_pixels_1080p_128")


@cache
def recorded(name):
    return json.loads((RECORDED / f"{name}.json").read_text("utf-8"))


@cache
def changes(old, new):
    return compare(recorded(old), recorded(new))


def test_recorded_runs_of_one_build_are_never_called_slower_or_faster_and_mostly_the_same():
    pairs = list(permutations(ONE_BUILD, 2))
    found = Counter(change.verdict for pair in pairs for change in changes(*pair))
    assert len(ONE_BUILD) >= 12
    assert not found[SLOWER] and not found[FASTER]
    assert found[SAME] > 2 * found[UNCLEAR]


def test_the_intervals_hold_1_in_about_95_of_100_comparisons_of_one_build():
    pairs = list(permutations(ONE_BUILD, 2))
    inside = [change.low <= 1 <= change.high for pair in pairs for change in changes(*pair)]
    assert 0.93 < np.mean(inside) < 0.99


def test_touches_that_took_a_fifth_longer_are_called_slower_in_nearly_every_comparison():
    pairs = list(product(ONE_BUILD, SLOWED))
    found = [change for pair in pairs for change in changes(*pair) if change.stage in TOUCHES]
    assert len(SLOWED) >= 4 and len(found) == 2 * len(pairs)
    assert sum(change.verdict == SLOWER for change in found) > 0.9 * len(found)
    assert not any(change.verdict in (SAME, FASTER) for change in found)
    assert np.exp(np.mean([np.log(change.ratio) for change in found])) == pytest.approx(1.2, abs=0.03)
    assert all(SLOWER in {change.verdict for change in changes(*pair)} for pair in pairs)


def test_slower_touches_make_no_other_stage_slower_or_faster():
    others = [
        change.verdict
        for pair in product(ONE_BUILD, SLOWED)
        for change in changes(*pair)
        if change.stage not in WITH_TOUCHES
    ]
    assert others.count(SLOWER) + others.count(FASTER) <= len(others) / 50


@pytest.mark.parametrize("stage", ["encode", "compose_1080p", "hints_to_input_16", *TOUCHES])
def test_a_fifth_added_to_a_recording_is_never_the_same_and_three_per_cent_never_slower(stage):
    for old, new in permutations(ONE_BUILD[:6], 2):
        planted = {change.stage: change.verdict for change in compare(recorded(old), slowed(recorded(new), 1.2, stage))}
        assert planted[stage] in (SLOWER, UNCLEAR) and SLOWER not in {v for s, v in planted.items() if s != stage}
        assert verdicts(recorded(old), slowed(recorded(new), 1.03, stage))[stage] != SLOWER
