"""The CPU build detects faults that a GPU would not report: races, divergent barriers, bad launches and addresses."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests.needs import needs

from .library import BAD_LAUNCH, DIVERGENT, FAULTS, MISALIGNED, OUT_OF_RANGE, Library

pytestmark = needs("c++")

SCHEDULES = (0, 1, 2, 3, 4)


@functools.cache
def faults() -> Library:
    return Library(FAULTS)


def outcomes(name: str, threads: int = 64, blocks: int = 1) -> set[bytes]:
    """The different results of a kernel under several schedules; a correct kernel has one."""
    results = set()
    for seed in SCHEDULES:
        faults().schedule(seed)
        given, out = np.arange(1, 65, dtype=np.float32), np.zeros(64, np.float32)
        assert faults().status(name, (blocks, 1, 1), (threads, 1, 1), given, out) == 0
        results.add(out.tobytes())
    return results


def test_a_correct_kernel_gives_the_same_result_under_every_schedule():
    assert outcomes("reverse_right") == {np.arange(64, 0, -1, dtype=np.float32).tobytes()}


@pytest.mark.parametrize(
    ("name", "threads", "blocks"),
    [("reverse_race", 64, 1), ("reuse_race", 64, 1), ("hidden_race", 64, 1), ("block_race", 32, 9)],
)
def test_planted_races_give_different_results_under_different_schedules(name, threads, blocks):
    assert len(outcomes(name, threads, blocks)) > 1


@pytest.mark.parametrize("seed", SCHEDULES)
@pytest.mark.parametrize(
    ("name", "threads"), [("barrier_after_return", 64), ("two_barriers", 64), ("divergent_shuffle", 32)]
)
def test_planted_divergent_barriers_are_reported_and_the_next_launch_works(name, threads, seed):
    faults().schedule(seed)
    given, out = np.ones(64, np.float32), np.zeros(64, np.float32)
    assert faults().status(name, (3, 1, 1), (threads, 1, 1), given, out) == DIVERGENT
    assert faults().status("reverse_right", (1, 1, 1), (64, 1, 1), given, out) == 0
    np.testing.assert_array_equal(out, given)


def test_unwritten_shared_memory_is_nan():
    faults().schedule(0)
    given, out = np.ones(32, np.float32), np.zeros(32, np.float32)
    for _ in range(2):  # not even after an earlier block wrote it
        assert faults().status("unwritten", (2, 1, 1), (32, 1, 1), given, out) == 0
        assert np.isnan(out[16:]).all() and (out[:16] == 1).all()


def test_a_write_before_an_array_is_detected():
    given, out = np.ones(32, np.float32), np.zeros(32, np.float32)
    with pytest.raises(AssertionError, match="beyond an array"):
        faults().status("one_before", (1, 1, 1), (32, 1, 1), given, out)


@pytest.mark.parametrize("seed", SCHEDULES)
def test_a_read_behind_an_array_is_reported_and_the_next_launch_works(seed):
    faults().schedule(seed)
    given, out = np.ones(32, np.float32), np.zeros(32, np.float32)
    assert faults().status("one_behind", (2, 1, 1), (32, 1, 1), given, out) == OUT_OF_RANGE
    given, out = np.ones(64, np.float32), np.zeros(64, np.float32)
    assert faults().status("reverse_right", (1, 1, 1), (64, 1, 1), given, out) == 0
    np.testing.assert_array_equal(out, given)


def test_a_misaligned_vector_access_is_reported():
    memory, out = np.arange(40, dtype=np.float32), np.zeros(32, np.float32)
    start = -memory.ctypes.data // 4 % 4
    aligned, odd = memory[start : start + 32], memory[start + 1 : start + 33]
    assert faults().status("wide", (1, 1, 1), (32, 1, 1), aligned, out) == 0
    np.testing.assert_array_equal(out, aligned)
    assert faults().status("wide", (1, 1, 1), (32, 1, 1), odd, out) == MISALIGNED


@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [
        ((1, 1, 1), (0, 1, 1), 0),
        ((1, 1, 1), (96, 1, 1), 0),  # more threads than the launch bound
        ((1, 1, 1), (40, 1, 1), 0),  # half a warp
        ((0, 1, 1), (64, 1, 1), 0),
        ((1, 65536, 1), (64, 1, 1), 0),
        ((1, 1, 1), (64, 1, 1), 16),  # dynamic shared memory, which no kernel uses
    ],
)
def test_launches_that_no_gpu_would_take_are_refused(grid, block, shared):
    given, out = np.ones(64, np.float32), np.full(64, 5, np.float32)
    assert faults().status("reverse_right", grid, block, given, out, shared=shared) == BAD_LAUNCH
    assert (out == 5).all()
