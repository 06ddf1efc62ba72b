"""The table of TensorRT targets and versions. Builder, runner, `livetint doctor` and the command line all read it.

A new target is one more entry of TARGETS. A new version of a target is one more row of its `versions`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...errors import NoDevice


@dataclass(frozen=True)
class Traits:
    """One row: what a TensorRT has and needs from version `since` on.

    Run time.
        context: how an execution context takes its scratch memory from us: "without memory" is a method of its own,
        "strategy" an argument, "config" a runtime configuration, which also carries the JIT cache.
        size: the engine's attribute that gives the bytes of scratch memory.
        sized: the setter of scratch memory takes the size too.
    Build time.
        strongly_typed: networks take their types from the ONNX file.
        explicit_batch: the network flag exists and is needed.
        precision_flags: FP16 and INT8 are builder flags.
        external_tactics: kernels of cuBLAS and cuDNN are tried unless the builder is told otherwise, and a build fails
        where those are not installed.
        timing_cache, progress_monitor, version_compatible: the builder has it.
        user_allocation: a plan with an open axis must be built to use our scratch memory alone; otherwise its runs
        allocate and cannot be captured.
        engine_validity: the runtime can judge a plan without loading it.
        hardware_levels: names of the hardware compatibility levels.
        compute_capabilities: GPUs that a plan can be built for on any machine; empty where plans are built for the
        GPU of the machine.
    """

    since: tuple[int, int]
    context: Literal["without memory", "strategy", "config"]
    size: str
    sized: bool
    strongly_typed: bool
    explicit_batch: bool
    precision_flags: bool
    external_tactics: bool
    timing_cache: bool
    progress_monitor: bool
    version_compatible: bool
    user_allocation: bool
    engine_validity: bool
    hardware_levels: tuple[str, ...]
    compute_capabilities: tuple[str, ...]

    @property
    def dialect(self) -> str:
        """The ONNX dialect that the parser is given (build_engine/apply_precision.py)."""
        return "tensorrt" if self.strongly_typed else "tensorrt-8"


@dataclass(frozen=True)
class Target:
    """A kind of TensorRT. Runners and builds without --target prefer the first of TARGETS that is installed.

    name: on the command line, and `flavour` in plans.json. title: in sentences. module: the Python module.
    distribution: the Python package. install: how to get it. versions: rows, oldest first.
    """

    name: str
    title: str
    module: str
    distribution: str
    install: str
    versions: tuple[Traits, ...]


# Each row names only what differs from the row before it.
_TENSORRT_8_6 = Traits(
    since=(8, 6),
    context="without memory", size="device_memory_size", sized=False,
    strongly_typed=False, explicit_batch=True, precision_flags=True, external_tactics=True,
    timing_cache=True, progress_monitor=False, version_compatible=True, user_allocation=False,
    engine_validity=False,
    hardware_levels=("AMPERE_PLUS",), compute_capabilities=(),
)  # fmt: skip
_TENSORRT_10 = replace(
    _TENSORRT_8_6, since=(10, 0), context="strategy", strongly_typed=True, explicit_batch=False, precision_flags=False,
    external_tactics=False, progress_monitor=True,
)  # fmt: skip
_TENSORRT_10_13 = replace(
    _TENSORRT_10, since=(10, 13), hardware_levels=("AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY")
)  # fmt: skip
_TENSORRT_11 = replace(_TENSORRT_10_13, since=(11, 0), size="device_memory_size_v2", sized=True)
_RTX_1 = Traits(
    since=(1, 0),
    context="config", size="device_memory_size_v2", sized=True,
    strongly_typed=True, explicit_batch=False, precision_flags=False, external_tactics=False,
    timing_cache=False, progress_monitor=True, version_compatible=False, user_allocation=False,
    engine_validity=True,
    hardware_levels=(), compute_capabilities=("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"),
)  # fmt: skip
_RTX_1_2 = replace(_RTX_1, since=(1, 2), user_allocation=True)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="tensorrt",
            title="TensorRT",
            module="tensorrt",
            distribution="tensorrt",
            install="on a Jetson: sudo apt-get install python3-libnvinfer, in an environment made with "
            "--system-site-packages; on a desktop: NVIDIA's tensorrt packages",
            versions=(_TENSORRT_8_6, _TENSORRT_10, _TENSORRT_10_13, _TENSORRT_11),
        ),
        Target(
            name="tensorrt-rtx",
            title="TensorRT-RTX",
            module="tensorrt_rtx",
            distribution="tensorrt-rtx-cu13",
            install="pip install 'livetint[rtx]'",
            versions=(_RTX_1, _RTX_1_2),
        ),
    )
}


@dataclass(frozen=True)
class LoadedTarget:
    """A target whose module was imported: its name, module, version text ("10.3.0.30") and row of the table."""

    name: str
    module: Any
    version: str
    traits: Traits


def version_of(text: str) -> tuple[int, ...]:
    """The first three numbers of a version: "10.3.0.30" → (10, 3, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def traits_of(name: str, version: tuple[int, ...]) -> Traits:
    """The newest row of a target that is not newer than `version`. Raises NoDevice below the oldest row."""
    target = TARGETS[name]
    rows = [row for row in target.versions if row.since <= version]
    if not rows:
        oldest = ".".join(map(str, target.versions[0].since))
        raise NoDevice(f"{target.title} {'.'.join(map(str, version))} is too old; {oldest} or newer is needed")
    return rows[-1]


def installed_targets() -> list[str]:
    """Names of the targets whose module can be found, in the order of the table. Imports nothing."""
    return [name for name, target in TARGETS.items() if importlib.util.find_spec(target.module)]


def load_target(name: str) -> LoadedTarget:
    """Import a target's module. Raises NoDevice, with how to install it, when that fails or its version is too old."""
    target = TARGETS[name]
    try:
        module = importlib.import_module(target.module)
    except (ImportError, OSError) as error:
        raise NoDevice(f"{name} cannot be imported ({error}); {target.install}") from error
    return LoadedTarget(name, module, module.__version__, traits_of(name, version_of(module.__version__)))


def cross_building_targets() -> dict[str, tuple[str, ...]]:
    """Targets that build for a GPU which need not be here: name → compute capabilities of the newest row."""
    newest = {name: target.versions[-1].compute_capabilities for name, target in TARGETS.items()}
    return {name: capabilities for name, capabilities in newest.items() if capabilities}
