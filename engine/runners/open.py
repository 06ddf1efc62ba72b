"""Choosing the runner: the GPU's where there is a GPU with plans, else the CPU's."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..bundle import Bundle
from ..errors import ConfigError, RunnerError
from .base import Runner
from .onnx import OnnxRunner
from .tensorrt.driver import driver_present
from .tensorrt.plan_folder import StalePlan
from .tensorrt.runner import TensorRTRunner

DEVICES = ("auto", "cpu", "cuda")
_reported: set[str] = set()


def _warn(line: str) -> None:
    logging.getLogger("livetint").warning("%s", line)


def open_runner(
    bundle: Bundle,
    device: str = "auto",
    threads: int | None = None,
    display: tuple[int, int] = (0, 0),
    say: Callable[[str], None] = _warn,
    without_plans: Callable[[StalePlan], None] | None = None,
    spin: bool = True,
) -> Runner:
    """A runner for `device`. threads, spin: of OnnxRunner, on the CPU. display: of TensorRTRunner, on the GPU.

    "auto" falls back to the CPU and reports the reason to `say`, once per process; without an NVIDIA driver it reports
    nothing. "cuda" raises instead: NoDevice, StalePlan (which names the command that builds plans), DeviceFull,
    DeviceError or DeviceLost. without_plans: called when only the plans are missing; then the CPU serves, for "cuda"
    too. Raises ConfigError for an unknown device.
    """
    if device not in DEVICES:
        raise ConfigError(f"there is no device {device!r}; choose one of {', '.join(DEVICES)}")
    if device != "cpu":
        try:
            return TensorRTRunner(bundle, display)
        except StalePlan as error:
            if without_plans is not None:
                without_plans(error)
            elif device == "cuda":
                raise
            else:
                _report_once(say, f"running on the CPU: {error}")
        except RunnerError as error:
            if device == "cuda":
                raise
            if driver_present():
                _report_once(say, f"running on the CPU: {error}")
    return OnnxRunner(bundle, threads, spin)


def _report_once(say: Callable[[str], None], line: str) -> None:
    if line not in _reported:
        _reported.add(line)
        say(line)
