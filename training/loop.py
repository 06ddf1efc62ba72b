"""The training loop: it can be resumed, averages the weights, and measures a held-out curve at every checkpoint."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from ..calibration.photographs import load_squares
from ..engine.errors import ConfigError, ModelFileError
from ..engine.files import atomic_write, replacing, write_error
from .config import Config
from .curve import held_out_curve
from .data import Batch, batches
from .tasks import Task

AVERAGED, STATE, LOG = "averaged.safetensors", "state.pt", "log.jsonl"

Progress = Callable[[int, int, str], object]  # steps done, steps in all, losses and curve of the last checkpoint


def no_progress(done: int, total: int, checkpoint: str) -> None:
    """Show nothing."""


@dataclass
class RunStatus:
    """The state of a run: steps done, seconds spent, and the last held-out curve."""

    step: int = 0
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
    task: Task, config: Config, resume: bool = False, seconds: float | None = None, progress: Progress = no_progress
) -> RunStatus:
    """Train for the configured steps, or until `seconds` have passed (a checkpoint is written either way).

    Writes to config.output: averaged.safetensors (the weights to export), state.pt (to resume), log.jsonl. Calls
    `progress` after every step. Raises ConfigError for unusable settings or photographs, OutputError if the folder
    cannot be written, ModelFileError if there is nothing to resume.
    """
    output = Path(config.output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(output, error) from error
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = pick_device(config.device)
    squares = load_squares(config.data.sources, config.data.side_px, config.data.limit or None)
    held_out = load_squares(config.data.held_out, config.data.side_px, config.data.held_out_limit)
    network = task.network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    run = _Run(task, network, config, device)
    if resume:
        run.load(output / STATE)
    source = batches(squares, config.optimiser.batch, config.augmentation, config.seed, run.status.step)
    started, spent = time.monotonic(), run.status.seconds
    checkpoint = ""
    with denormals_flushed():
        while run.status.step < config.optimiser.steps:
            run.one_step(next(source))
            run.status.seconds = spent + time.monotonic() - started
            late = seconds is not None and time.monotonic() - started >= seconds
            if late or run.status.step % config.every == 0 or run.status.step == config.optimiser.steps:
                checkpoint = run.checkpoint(output, held_out)
            progress(run.status.step, config.optimiser.steps, checkpoint)
            if late:
                break
    source.close()
    return run.status


@contextlib.contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormal numbers to zero: distant hints have such weights, which triple the time of a step on a CPU."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def rate_at(config: Config, step: int) -> float:
    """The learning rate of a step: a warm-up, then a cosine to zero, or the rate of the stage."""
    settings = config.optimiser
    warm = min(1.0, (step + 1) / max(settings.warm_up_steps, 1))
    stage = config.stage_at(step)
    if stage is not None:
        return stage.rate * warm
    return settings.rate * warm * (0.5 + 0.5 * float(np.cos(np.pi * step / settings.steps))) + 1e-7


class _Run:
    """What changes during a run: weights, their average, the optimiser with its schedule, and the status."""

    def __init__(self, task: Task, network: nn.Module, config: Config, device: torch.device) -> None:
        self.task, self.network, self.config, self.device = task, network, config, device
        trained = [([p for p in group if p.requires_grad], share) for group, share in task.parameter_groups()]
        # The schedule gives the rate; a group's own "lr" is its share of that.
        groups = [{"params": parameters, "lr": share} for parameters, share in trained if parameters]
        self.shares = [group["lr"] for group in groups]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=config.optimiser.weight_decay)
        self.schedule = LambdaLR(self.optimiser, partial(rate_at, config))
        self.average = AveragedModel(network, multi_avg_fn=self._average, use_buffers=True)
        self.average.update_parameters(network)  # the first update copies the weights
        self.bf16 = uses_bf16(config.bf16, device)
        self.status = RunStatus()
        self.recent: list[dict[str, float]] = []

    def one_step(self, batch: Batch) -> None:
        """Train on one batch."""
        self.task.set_stage(self.config.stage_at(self.status.step))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            terms = self.task.losses(batch, self.device)
        total = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        self.status.step += 1
        self.recent.append({name: float(term.detach()) for name, term in terms.items()})

    def _average(self, kept: Sequence[torch.Tensor], new: Sequence[torch.Tensor], updates: torch.Tensor | int) -> None:
        """Exponential moving average. Its decay grows with the updates, so that early weights are forgotten."""
        decay = min(self.config.optimiser.average, int(updates) / (9 + int(updates)))
        for average, value in zip(kept, new, strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def checkpoint(self, output: Path, held_out: NDArray[np.uint8]) -> str:
        """Write everything that a resumed run needs and one line of the log; returns a line to show."""
        means = {name: float(np.mean([r[name] for r in self.recent])) for name in self.recent[0]} if self.recent else {}
        self.recent.clear()
        averaged = {k: v.detach().cpu().contiguous() for k, v in self.average.module.state_dict().items()}
        self.status.curve = held_out_curve(self.task, averaged, held_out, self.device)
        atomic_write(output / AVERAGED, save(averaged))
        state = {
            "network": self.network.state_dict(),
            "averaged": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.status.step,
            "seconds": self.status.seconds,
            "shuffle": torch.get_rng_state(),
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
        """Resume from state.pt. Raises ModelFileError if it is missing, damaged or of another network."""
        if not path.is_file():
            raise ModelFileError(f"{path} does not exist, so there is nothing to resume; start without --resume")
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.module.load_state_dict(state["averaged"])
            self.optimiser.load_state_dict(state["optimiser"])
            step, self.status.seconds = state["step"], state["seconds"]
            torch.set_rng_state(state["shuffle"].cpu())
        except Exception as error:  # a damaged file, or one of another network, fails in many ways
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ModelFileError(f"{path} cannot be resumed ({reason}); start without --resume") from error
        self.status.step = step
        self.average.n_averaged.fill_(step + 1)
        # The position of the schedule follows from the step, so it is not part of state.pt.
        for group, share in zip(self.optimiser.param_groups, self.shares, strict=True):
            group["initial_lr"] = share
        self.schedule = LambdaLR(self.optimiser, partial(rate_at, self.config), last_epoch=step - 1)


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
