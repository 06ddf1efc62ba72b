"""What builders ask about TensorRT targets and about the GPU of this machine.

The table itself is in engine/runners/tensorrt/versions.py.
"""

from __future__ import annotations

import ctypes

from ..engine.errors import ConfigError, NoDevice
from ..engine.runners.tensorrt import versions
from ..engine.runners.tensorrt.driver import LIBRARY
from ..engine.runners.tensorrt.versions import LoadedTarget, cross_building_targets

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


def load_target(name: str) -> LoadedTarget:
    """Import a target by its name on the command line. Raises ConfigError that says how to install it."""
    try:
        return versions.load_target(name)
    except NoDevice as error:
        raise ConfigError(str(error)) from error


def compute_capability() -> str | None:
    """The first GPU's compute capability, such as "8.7"; None where there is no driver or no GPU."""
    try:
        driver = ctypes.CDLL(LIBRARY)
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


def check_capabilities(target: LoadedTarget, capabilities: tuple[str, ...]) -> None:
    """Raise ConfigError for compute capabilities that a target cannot build for."""
    known = target.traits.compute_capabilities
    if capabilities and not known:
        names = " or ".join(cross_building_targets())
        raise ConfigError(
            f"--compute-capability is for {names}; {target.name} {target.version} builds for the GPU it runs on"
        )
    for capability in capabilities:
        if capability not in known:
            raise ConfigError(
                f"{target.name} cannot build for compute capability {capability}; it knows {', '.join(known)} "
                "(a Jetson or a Hopper GPU needs --target tensorrt)"
            )


def enum_name(capability: str) -> str:
    """ "8.6" → "SM86", the name in TensorRT-RTX's enumeration ComputeCapability."""
    return f"SM{capability.replace('.', '')}"
