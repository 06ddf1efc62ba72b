"""The schedule of a run by steps or by time, and runs that are interrupted and resumed."""

from __future__ import annotations

import json

import msgspec
import pytest

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.training.config import Stage, load_config  # noqa: E402
from livetint.training.run import run  # noqa: E402
from livetint.training.schedule import Schedule, rate_at  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from .pictures import write_settings  # noqa: E402


def test_the_rate_warms_up_and_follows_a_cosine_or_the_stages(folder):
    config = load_config(write_settings(folder, steps=100))
    optimiser = msgspec.structs.replace(config.optimiser, rate=1.0, warm_up_steps=4)
    config = msgspec.structs.replace(config, optimiser=optimiser)
    assert [rate_at(config, step) for step in (0, 1)] == pytest.approx([0.25, 0.5], rel=1e-2)
    assert rate_at(config, 50) == pytest.approx(0.5, rel=1e-3)
    assert rate_at(config, 100) == pytest.approx(1e-7)
    staged = msgspec.structs.replace(config, stages=[Stage(60, 1e-4), Stage(40, 1e-5)])
    assert [rate_at(staged, step) for step in (1, 59, 60, 99)] == pytest.approx([5e-5, 1e-4, 1e-5, 1e-5])


class Interrupted(Exception):
    """Ends a run after a step, as a power cut would."""


def interrupted_after(step: int):
    def progress(done: int, total: int, checkpoint: str) -> None:
        if done >= step:
            raise Interrupted

    return progress


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(folder):
    path = write_settings(folder, steps=4)
    run(path, init="touch")
    expected = load_file(folder / "run" / "averaged.safetensors")
    with pytest.raises(Interrupted):
        run(path, init="touch", progress=interrupted_after(2))
    run(path, resume=True)
    for name, weight in load_file(folder / "run" / "averaged.safetensors").items():
        torch.testing.assert_close(weight, expected[name])


def test_a_checkpoint_of_before_schedules_by_time_resumes_as_before(folder):
    """Checkpoints of the first versions hold the share of the rate in each group and no position."""
    path = write_settings(folder, steps=4)
    with pytest.raises(Interrupted):
        run(path, init="touch", progress=interrupted_after(2))
    state = folder / "run" / "state.pt"
    kept = torch.load(state, weights_only=True)
    assert kept["step"] == kept["position"] == 2 and {"network", "averaged", "optimiser", "seconds"} < kept.keys()
    run(path, resume=True)
    expected = load_file(folder / "run" / "averaged.safetensors")
    for group, share in zip(kept["optimiser"]["param_groups"], (1.0, 1.0, 0.15), strict=True):
        del group["fused"]
        group["share"] = share
    del kept["position"]
    torch.save({**kept, "shuffle": torch.get_rng_state()}, state)
    run(path, resume=True)
    for name, weight in load_file(folder / "run" / "averaged.safetensors").items():
        torch.testing.assert_close(weight, expected[name])


class Clock:
    """A clock that goes on by `step` seconds whenever it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_run_with_little_time_goes_through_the_whole_schedule(folder):
    """Of 100 steps there is time for a few: their rates rise and fall as those of the whole run would."""
    seen: list[int] = []
    path = write_settings(folder, steps=100)
    bundle = run(path, init="touch", seconds=12, clock=Clock(1.0), progress=lambda *step: seen.append(step[0]))
    assert len(seen) < 10 and seen[-1] == 100 and seen == sorted(seen)
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == len(seen), "the last step has a checkpoint"
    assert f"{len(seen)} steps" in bundle.files["MODEL_CARD.md"].decode()


def test_a_run_that_is_resumed_with_a_limit_goes_on_where_it_was(folder):
    path = write_settings(folder, steps=100)
    with pytest.raises(Interrupted):
        run(path, init="touch", seconds=20, clock=Clock(1.0), progress=interrupted_after(40))
    state = torch.load(folder / "run" / "state.pt", weights_only=True)
    assert state["step"] < 20 and 20 < state["position"] < 60
    seen: list[int] = []
    run(path, resume=True, seconds=8, clock=Clock(1.0), progress=lambda *step: seen.append(step[0]))
    assert seen[0] > state["position"] and seen[-1] == 100 and len(seen) < 10


def test_time_and_steps_share_a_schedule_and_whichever_is_further_counts():
    clock = Clock(0.0)
    schedule = Schedule(100, 10, 30.0, 50.0, clock)
    assert schedule.position(10) == 30 and schedule.position(11) == 31
    clock.now = 25.0
    assert schedule.position(11) == 65, "half of the time: half of what was left"
    assert schedule.position(60) == 80
    clock.now = 50.0
    assert schedule.position(12) == 100
    assert Schedule(100, 10, 10.0, None, clock).position(99) == 99
    assert Schedule(100, 0, 0.0, 0.0, clock).position(1) == 100
