"""The verdict on two latency files: a slowdown is found, noise and slow days are not taken for one."""

from __future__ import annotations

import copy
import json
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from livetint.bench.compare import FASTER, SAME, SLOWER, UNCLEAR, Change, compare, overall
from livetint.engine.errors import ConfigError


def result(seed=0, rounds=8, noise=0.03, day=1.0, touch_ms=3.0, lost=0.0):
    """A made-up latency file: rounds drift together with their references, as rounds on a real machine do."""
    rng = np.random.default_rng(seed)
    samples, paired = {}, {}
    for name, ms in (("touch_to_ab_16", touch_ms), ("encode", 24.0)):
        drift = day * rng.normal(1, 0.1, rounds)
        samples[name], beside = ([list(of * d * rng.normal(1, noise, 24).clip(0.5)) for d in drift] for of in (ms, 2.0))
        paired[name] = {"reference": "reference_small", "beside": beside, "lost": [lost] * rounds}
    return {"kind": "latency", "schema": 1, "threads": 2, "device": "cpu", "samples": samples, "paired": paired}


def slowed(table, factor, stage="touch_to_ab_16"):
    table = copy.deepcopy(table)
    table["samples"][stage] = [[factor * value for value in part] for part in table["samples"][stage]]
    return table


def verdicts(old, new):
    return {change.stage: change.verdict for change in compare(old, new)}


@pytest.mark.parametrize("seed", range(5))
def test_a_slowdown_of_a_fifth_is_flagged_and_only_where_it_is(seed):
    found = verdicts(result(seed), slowed(result(seed + 100), 1.2))
    assert found == {"touch_to_ab_16": SLOWER, "encode": SAME}


@pytest.mark.parametrize("seed", range(5))
def test_a_second_run_of_one_build_is_the_same_even_on_a_slow_day(seed):
    assert set(verdicts(result(seed), result(seed + 100, day=1.6)).values()) == {SAME}


def test_a_faster_build_is_called_faster():
    assert verdicts(result(1), slowed(result(2), 0.7))["touch_to_ab_16"] == FASTER


def test_too_much_noise_is_unclear_not_a_verdict():
    assert verdicts(result(1, noise=0.6), result(2, noise=0.6))["touch_to_ab_16"] == UNCLEAR


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, SLOWER), (0.05, SLOWER), (None, SLOWER), (0.4, UNCLEAR)])
def test_a_slowdown_while_others_had_the_processors_is_unclear_and_says_why(lost, verdict):
    changes = compare(result(1), slowed(result(2, lost=lost), 1.5))
    found = next(change for change in changes if change.stage == "touch_to_ab_16")
    assert found.verdict == verdict
    assert ("others took the processors in 8 of 16 rounds" in found.why) == (verdict == UNCLEAR)


def test_rounds_that_others_disturbed_are_left_out_where_five_remain():
    def disturbed(rounds):
        table = result(2)
        for name, rows in table["paired"].items():
            for turn in range(rounds):
                rows["lost"][turn] = 0.6
                table["samples"][name][turn] = [3 * value for value in table["samples"][name][turn]]
        return table

    assert set(verdicts(result(1), disturbed(3)).values()) == {SAME}
    assert set(verdicts(result(1), disturbed(4)).values()) == {UNCLEAR}


def test_the_worst_stage_decides():
    def change(verdict):
        return Change("s", 1, 1, 1, verdict)

    assert overall([change(SAME), change(SLOWER), change(UNCLEAR)]) == SLOWER
    assert overall([change(SAME), change(FASTER)]) == FASTER
    assert overall([change(FASTER), change(UNCLEAR)]) == UNCLEAR
    assert overall([]) == SAME


@pytest.mark.parametrize(
    ("change", "word"),
    [({"kind": "accuracy"}, "only two files"), ({"threads": 1}, "threads"), ({"paired": {}}, "only two files")],
)
def test_what_cannot_be_compared_is_refused(change, word):
    with pytest.raises(ConfigError, match=word):
        compare(result(), {**result(), **change})


@pytest.mark.parametrize("key", ["lost", "reference"])
def test_a_file_of_another_version_is_refused_not_half_understood(key):
    other = result(2)
    del other["paired"]["encode"][key]
    with pytest.raises(ConfigError, match="measure again"):
        compare(result(), other)


def test_fewer_than_five_rounds_are_refused():
    with pytest.raises(ConfigError, match="at least 5 rounds"):
        compare(result(), result(rounds=4))


RECORDED = Path(__file__).parent / "recorded"
# Runs of one build (see `recording`) on two processors that others wanted too; in the last nearly all went to others.
OF_ONE_BUILD = ("one", "two", "three", "four", "crowded")
# The same, but every touch really took a fifth longer.
SLOWED = ("slowed-one", "slowed-two")
# Two runs of one build on one thread, and one whose touches really took a fifth longer.
ALONE, ALONE_SLOWED = ("alone-one", "alone-two"), "alone-slowed"
STAGES_WITH_TOUCHES = {"touch_to_ab_16", "touch_to_ab_128", "touch_to_pixels_1080p_16"}
STEADY, UNSTEADY = "hints_to_input_16", ("touch_to_ab_16", "touch_to_ab_128", "encode", "compose_1080p")


@cache
def recorded(name):
    return json.loads((RECORDED / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize(("old", "new"), list(permutations(OF_ONE_BUILD, 2)))
def test_of_two_recorded_runs_of_one_build_none_is_called_slower_or_faster(old, new):
    found = verdicts(recorded(old), recorded(new))
    assert set(found) > STAGES_WITH_TOUCHES
    assert not {SLOWER, FASTER} & set(found.values())
    if "crowded" not in (old, new):
        assert found[STEADY] == SAME


@pytest.mark.parametrize(("old", "new"), list(permutations(ALONE, 2)))
def test_on_one_thread_two_runs_agree_within_a_tenth_and_none_is_called_slower_or_faster(old, new):
    changes = compare(recorded(old), recorded(new))
    assert not {SLOWER, FASTER} & {change.verdict for change in changes}
    touches = [change.ratio for change in changes if change.stage in ("touch_to_ab_16", "touch_to_ab_128", "encode")]
    assert len(touches) == 3 and all(1 / 1.1 < ratio < 1.1 for ratio in touches)


@pytest.mark.parametrize("old", ALONE)
def test_on_one_thread_a_real_fifth_is_measured_as_a_fifth(old):
    found = {change.stage: change for change in compare(recorded(old), recorded(ALONE_SLOWED))}
    for stage in ("touch_to_ab_16", "touch_to_ab_128"):
        assert 1.1 < found[stage].ratio < 1.3 and found[stage].verdict in (SLOWER, UNCLEAR)
        assert found[stage].low > 1
    assert found["encode"].verdict in (SAME, UNCLEAR)


@pytest.mark.parametrize("new", SLOWED)
@pytest.mark.parametrize("old", OF_ONE_BUILD)
def test_recorded_touches_that_took_a_fifth_longer_are_never_the_same_and_nothing_else_is_slower(old, new):
    found = verdicts(recorded(old), recorded(new))
    assert {found[stage] for stage in STAGES_WITH_TOUCHES} <= {SLOWER, UNCLEAR}
    assert not {SLOWER, FASTER} & {verdict for stage, verdict in found.items() if stage not in STAGES_WITH_TOUCHES}


@pytest.mark.parametrize(("old", "new"), list(permutations(OF_ONE_BUILD[:4], 2)))
def test_a_slowdown_beyond_the_recorded_noise_is_flagged_and_only_there(old, new):
    for factor, stages in ((1.2, (STEADY,)), (2.0, UNSTEADY)):
        for stage in stages:
            found = verdicts(recorded(old), slowed(recorded(new), factor, stage))
            assert [other for other, verdict in found.items() if verdict == SLOWER] == [stage]


@pytest.mark.parametrize(("old", "new"), list(permutations(OF_ONE_BUILD[:4], 2)))
@pytest.mark.parametrize("stage", [STEADY, *UNSTEADY])
def test_three_per_cent_are_no_slowdown_and_a_fifth_is_never_the_same(old, new, stage):
    assert verdicts(recorded(old), slowed(recorded(new), 1.03, stage))[stage] in (SAME, UNCLEAR)
    assert verdicts(recorded(old), slowed(recorded(new), 1.2, stage))[stage] in (SLOWER, UNCLEAR)
