"""The TensorRTs: which one is here, what its version can do, and what the GPU is. One code path over all."""

from __future__ import annotations

import ctypes
import importlib
import re
from dataclasses import dataclass
from typing import Any

from ..engine.errors import ConfigError
from ..engine.runners.tensorrt.plans import MODULES

# flavour: how to get it
SOURCES = {
    "tensorrt": "on a Jetson: sudo apt-get install python3-libnvinfer, in an environment made with "
    "--system-site-packages; on a desktop: NVIDIA's tensorrt packages",
    "tensorrt-rtx": "pip install 'livetint[rtx]'",
}
# What TensorRT-RTX 1.x builds for. Jetson (8.7, 11.0) and Hopper (9.0) need full TensorRT.
RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True)
class Traits:
    """What one version of one flavour can do and needs (GPU-facing differences between 8.6 and 11.x, and RTX).

    strongly_typed: networks take their types from the ONNX file. explicit_batch: the flag exists and is needed.
    precision_flags: FP16 and INT8 are builder flags. dialect: the ONNX dialect it is given.
    """

    strongly_typed: bool
    explicit_batch: bool
    precision_flags: bool
    timing_cache: bool
    hardware_levels: tuple[str, ...]
    compute_capabilities: bool
    engine_validity: bool
    progress_monitor: bool
    version_compatible: bool

    @property
    def dialect(self) -> str:
        return "tensorrt" if self.strongly_typed else "tensorrt-8"


def traits_of(flavour: str, version: tuple[int, ...]) -> Traits:
    """The row of the version table for a flavour and version. Raises ConfigError below TensorRT 8.6."""
    rtx = flavour == "tensorrt-rtx"
    if not rtx and version < (8, 6):
        raise ConfigError(f"TensorRT {'.'.join(map(str, version))} is too old; 8.6 or newer is needed")
    modern = rtx or version >= (10,)
    levels = ("AMPERE_PLUS",) if not rtx else ()
    if not rtx and version >= (10, 13):
        levels += ("SAME_COMPUTE_CAPABILITY",)
    return Traits(
        strongly_typed=modern,
        explicit_batch=not modern,
        precision_flags=not modern,
        timing_cache=not rtx,
        hardware_levels=levels,
        compute_capabilities=rtx,
        engine_validity=rtx,
        progress_monitor=modern,
        version_compatible=not rtx,
    )


@dataclass(frozen=True)
class Flavour:
    """A TensorRT that was found: its name, module, version text and traits."""

    name: str
    module: Any
    version: str
    traits: Traits


def load_flavour(name: str) -> Flavour:
    """Import a flavour by its name on the command line. Raises ConfigError that says how to get it."""
    try:
        trt = importlib.import_module(MODULES[name])
    except (ImportError, OSError) as error:
        raise ConfigError(f"{name} cannot be imported ({error}); {SOURCES[name]}") from error
    return Flavour(name, trt, trt.__version__, traits_of(name, version_of(trt.__version__)))


def version_of(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: "10.3.0.30" → (10, 3, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def compute_capability() -> str | None:
    """The first GPU's compute capability, such as "8.7"; None where there is no driver or no GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    if driver.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device):
        return None
    if driver.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device):
        return None
    return f"{major.value}.{minor.value}"


def enum_name(capability: str) -> str:
    """ "8.6" → "SM86", as TensorRT-RTX names it. Raises ConfigError for one it cannot build for."""
    if capability not in RTX_CAPABILITIES:
        raise ConfigError(
            f"TensorRT-RTX cannot build for compute capability {capability}; "
            f"it knows {', '.join(RTX_CAPABILITIES)} (Jetson and Hopper need --target tensorrt)"
        )
    return f"SM{capability.replace('.', '')}"
