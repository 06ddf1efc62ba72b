"""The training loop: it can be resumed, averages the weights, and measures a held-out curve at every checkpoint."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..calibration.photographs import load_squares
from ..engine.errors import ConfigError, ModelFileError
from ..engine.files import atomic_write, check_folder, replacing, write_error
from .config import Config
from .curve import held_out_curve
from .data import Batch, BatchMaker
from .schedule import Clock, Schedule, rate_at
from .tasks import Task

AVERAGED, STATE, LOG = "averaged.safetensors", "state.pt", "log.jsonl"

# Steps of the schedule done, steps in all, losses and curve of the last checkpoint.
Progress = Callable[[int, int, str], object]


def no_progress(done: int, total: int, checkpoint: str) -> None:
    """Show nothing."""


@dataclass
class RunStatus:
    """The state of a run: steps done, steps of the schedule used, seconds spent, and the last held-out curve."""

    step: int = 0
    position: float = 0.0
    seconds: float = 0.0
    curve: dict[str, float] = field(default_factory=dict)


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes the GPU if there is one. Raises ConfigError for `cuda` without a GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda but no NVIDIA GPU is usable; install a CUDA build of torch or say cpu")
    return torch.device(name)


def uses_bf16(setting: str, device: torch.device) -> bool:
    """Whether to train in bf16. `auto`: if the hardware has it; emulated it is several times slower than fp32."""
    if setting not in ("auto", "yes", "no"):
        raise ConfigError(f"bf16 is {setting!r}; it is auto, yes or no")
    if setting != "auto":
        return setting == "yes"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported())


def train(
    task: Task, config: Config, resume: bool = False, seconds: float | None = None,
    progress: Progress = no_progress, clock: Clock = time.monotonic,
) -> RunStatus:  # fmt: skip
    """Train for the configured steps. If `seconds` end earlier, the schedule is spread over them.

    Writes to config.output: averaged.safetensors (the weights to export), state.pt (to resume), log.jsonl. Calls
    `progress` after every step. Raises ConfigError for unusable settings or photographs, OutputError if the folder
    cannot be written, ModelFileError if there is nothing to resume. The folder is made only after these checks.
    """
    output = Path(config.output)
    check_folder(output)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = pick_device(config.device)
    maker = BatchMaker(load_photos(config, device), config.optimiser.batch, config.augmentation, config.seed)
    held_out = load_squares(config.data.held_out, config.data.side_px, config.data.held_out_limit)
    run = Run(task, config, device)
    if resume:
        run.load(output / STATE)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(output, error) from error
    status, total, checkpoint = run.status, config.optimiser.steps, ""
    schedule = Schedule(total, status.step, status.position, seconds, clock)
    started, spent = clock(), status.seconds
    with denormals_flushed():
        while status.position < total:
            late = status.position >= total / 2
            run.one_step(maker.batch(status.step, config.augmentation.late_crop_px if late else 0))
            status.position = schedule.position(status.step)
            status.seconds = spent + clock() - started
            if status.step % config.every == 0 or status.position >= total:
                checkpoint = run.checkpoint(output, held_out)
            progress(min(int(status.position), total), total, checkpoint)
    return status


def load_photos(config: Config, device: torch.device) -> Tensor:
    """The photographs of a run, uint8 [n, side_px, side_px, 3] on the device."""
    squares = load_squares(config.data.sources, config.data.side_px, config.data.limit or None, os.cpu_count() or 1)
    return torch.from_numpy(squares).to(device)


@contextlib.contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormal numbers to zero: distant hints have such weights, which triple the time of a step on a CPU."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class Run:
    """What changes during a run: weights, their average, the optimiser, and the status."""

    def __init__(self, task: Task, config: Config, device: torch.device) -> None:
        self.task, self.config, self.device = task, config, device
        network = task.network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.network: nn.Module = network
        trained = [([p for p in group if p.requires_grad], share) for group, share in task.parameter_groups()]
        groups = [{"params": parameters} for parameters, _ in trained if parameters]
        # The schedule gives the rate; each group has a share of it.
        self.shares = [share for parameters, share in trained if parameters]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=config.optimiser.weight_decay, fused=True)
        self.average = copy.deepcopy(network)
        # The same tensors for the whole run, also when a checkpoint is loaded: kept, because finding them takes time.
        self._averaged = list(zip(self.average.state_dict().values(), network.state_dict().values(), strict=True))
        self.bf16 = uses_bf16(config.bf16, device)
        self.status = RunStatus()
        self.recent: list[Tensor] = []
        self.names: list[str] = []

    def one_step(self, batch: Batch) -> None:
        """Train on one batch. The CPU does not wait for the device."""
        self.task.set_stage(self.config.stage_at(self.status.position))
        rate = rate_at(self.config, self.status.position)
        for group, share in zip(self.optimiser.param_groups, self.shares, strict=True):
            group["lr"] = rate * share
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            terms = self.task.losses(batch)
        losses = torch.stack(list(terms.values()))
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip)
        self.optimiser.step()
        self.status.step += 1
        self._update_average()
        self.names = list(terms)
        self.recent.append(losses.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average. Its decay grows with the steps, so that early weights are forgotten."""
        step = self.status.step
        update = get_ema_multi_avg_fn(min(self.config.optimiser.average, step / (9 + step)))
        floating = [pair for pair in self._averaged if pair[0].dtype.is_floating_point]
        update([kept for kept, _ in floating], [new for _, new in floating], step)
        for kept, new in self._averaged:
            if not kept.dtype.is_floating_point:
                kept.copy_(new)

    def checkpoint(self, output: Path, held_out: NDArray[np.uint8]) -> str:
        """Write everything that a resumed run needs and one line of the log; returns a line to show."""
        means = dict(zip(self.names, torch.stack(self.recent).mean(0).tolist(), strict=True)) if self.recent else {}
        self.recent.clear()
        averaged = {k: v.detach().cpu().contiguous() for k, v in self.average.state_dict().items()}
        self.status.curve = held_out_curve(self.task, averaged, held_out, self.device)
        atomic_write(output / AVERAGED, save(averaged))
        state = {
            "network": self.network.state_dict(),
            "averaged": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.status.step,
            "position": self.status.position,
            "seconds": self.status.seconds,
        }
        with replacing(output / STATE) as path:
            torch.save(state, path)
        line = {
            "step": self.status.step, "seconds": round(self.status.seconds), "losses": means,
            "gain_db": self.status.curve,
        }  # fmt: skip
        before = (output / LOG).read_bytes() if (output / LOG).exists() else b""
        atomic_write(output / LOG, before + json.dumps(line).encode() + b"\n")
        curve = " ".join(f"{k}:{v:.2f}" for k, v in self.status.curve.items())
        return f"loss {sum(means.values()):.3f} gain dB {curve}"

    def load(self, path: Path) -> None:
        """Resume from state.pt. Raises ModelFileError if it is missing, damaged or of another network.

        Batches depend on the seed and the step alone, so no random state is part of it. Older checkpoints have no
        position: there it is the step.
        """
        if not path.is_file():
            raise ModelFileError(f"{path} does not exist, so there is nothing to resume; start without --resume")
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["averaged"])
            for group in state["optimiser"]["param_groups"]:
                group["fused"] = True  # older checkpoints do not say so
            self.optimiser.load_state_dict(state["optimiser"])
            step, seconds = state["step"], state["seconds"]
            self.status = RunStatus(step, state.get("position", float(step)), seconds)
        except Exception as error:  # a damaged file, or one of another network, fails in many ways
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ModelFileError(f"{path} cannot be resumed ({reason}); start without --resume") from error


def initialise(network: nn.Module, weights: dict[str, torch.Tensor]) -> list[str]:
    """Load every weight whose name and shape agree; returns the names that keep their initial values."""
    own = network.state_dict()
    fits = {k: v.to(own[k].dtype) for k, v in weights.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fits, strict=False)
    return [name for name in own if name not in fits]


def freeze_all_but(network: nn.Module, prefixes: list[str]) -> None:
    """Freeze every parameter whose name starts with none of `prefixes`; an empty list freezes nothing.

    Raises ConfigError for a prefix that no parameter has.
    """
    named = dict(network.named_parameters())
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in named):
            raise ConfigError(f"optimiser.only names {prefix!r}, but no weight of the network starts with that")
    for name, weight in named.items():
        if prefixes and not name.startswith(tuple(prefixes)):
            weight.requires_grad_(False)
