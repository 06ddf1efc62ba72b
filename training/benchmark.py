"""How many pictures a second a training run gets through: batches alone, steps alone, and both as they are trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import torch

from .config import Config
from .data import BatchMaker
from .loop import Run, denormals_flushed, load_photos, pick_device, uses_bf16
from .run import task_of

SECONDS, WARM_UPS, MIN_TIMES = 10.0, 2, 3


@dataclass(frozen=True)
class Rate:
    """What was measured: pictures a second, and milliseconds of CPU time a picture, on all cores together."""

    name: str
    pictures_per_s: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.name:20} {self.pictures_per_s:8.1f} pictures a second, {self.cpu_ms:7.2f} ms of CPU time each"


def benchmark(config: Config) -> Iterator[Rate]:
    """Measure parts of a run, each for about SECONDS: making batches, steps in float32 and in bf16 if the hardware has
    it, and both together as the run does it."""
    device = pick_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    size = config.optimiser.batch
    maker = BatchMaker(load_photos(config, device), size, config.augmentation, config.seed)
    numbers = iter(range(1 << 62))
    yield rate_of("batches", lambda: maker.batch(next(numbers)), size, SECONDS, device)
    kinds = [("steps in float32", "no"), *([("steps in bf16", "yes")] if uses_bf16("auto", device) else [])]
    with denormals_flushed():
        for name, bf16 in kinds:
            run = Run(task_of(config), msgspec.structs.replace(config, bf16=bf16), device)
            batch = maker.batch(0)
            yield rate_of(name, lambda run=run, batch=batch: run.one_step(batch), size, SECONDS, device)
        run = Run(task_of(config), config, device)
        yield rate_of("batches and steps", lambda: run.one_step(maker.batch(next(numbers))), size, SECONDS, device)


def rate_of(name: str, work: Callable[[], object], pictures: int, seconds: float, device: torch.device) -> Rate:
    """Repeat `work`, which handles so many pictures, for about so many seconds."""
    for _ in range(WARM_UPS):
        work()
    _wait(device)
    started, cpu, times = time.perf_counter(), time.process_time(), 0
    while times < MIN_TIMES or time.perf_counter() - started < seconds:
        work()
        times += 1
    _wait(device)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Rate(name, times * pictures / took, 1e3 * cpu / (times * pictures))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
