"""What results depend on besides the code: CPU, clocks, temperatures, power mode, versions, the model's digest."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ..engine.bundle import Bundle
from ..engine.cores import usable_cores
from ..engine.runners.tensorrt.versions import TARGETS
from ..engine.thermal import THERMAL_FOLDER, temperatures

PACKAGES = (
    "livetint", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "scipy", "torch", "openvino", "ncnn", "av",
    *(target.distribution for target in TARGETS.values()),
)  # fmt: skip
CPU_FOLDER = Path("/sys/devices/system/cpu")
NVPMODEL_S = 5


def model_table(bundle: Bundle) -> dict[str, Any]:
    """The model that was measured, for a result."""
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "network": manifest.network,
        "version": manifest.version,
        "trained": manifest.trained,
        "sha256": bundle.digest,
    }


def versions() -> dict[str, str]:
    """Versions of Python, the operating system and the packages in PACKAGES that are installed."""
    found = {"python": platform.python_version(), "os": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine(cpu: Path = CPU_FOLDER, thermal: Path = THERMAL_FOLDER) -> dict[str, Any]:
    """The machine as it is now. What cannot be read is None; nothing is guessed."""
    return {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "processors": os.cpu_count(),
        "usable_processors": usable_cores(),
        "memory_mib": _memory_mib(),
        "load_1min": _load(),
        "governor": read_text(cpu / "cpu0/cpufreq/scaling_governor"),
        "clock_khz": _number(read_text(cpu / "cpu0/cpufreq/scaling_cur_freq")),
        "highest_clock_khz": _number(read_text(cpu / "cpu0/cpufreq/cpuinfo_max_freq")),
        "temperatures_c": temperatures(thermal),
        "power_mode": power_mode(),
        "gpus": gpus(),
    }


def power_mode() -> str | None:
    """A Jetson's power mode by name, from `nvpmodel -q`; None elsewhere."""
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        answer = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=NVPMODEL_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    names = [line.split(":", 1)[1].strip() for line in answer.stdout.splitlines() if line.startswith("NV Power Mode")]
    return names[0] if names else None


def gpus() -> list[dict[str, Any]]:
    """NVIDIA GPUs, from NVML: name, driver, clocks, temperature, power, memory. Needs nvidia-ml-py and a driver."""
    if importlib.util.find_spec("pynvml") is None:
        return []
    pynvml: Any = importlib.import_module("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    questions = {
        "name": lambda: _word(nvml.nvmlDeviceGetName(handle)),
        "driver": lambda: _word(nvml.nvmlSystemGetDriverVersion()),
        "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power_mw": lambda: nvml.nvmlDeviceGetPowerUsage(handle),
        "memory_used_mib": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used >> 20,
        "busy_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
    }
    answers: dict[str, Any] = {}
    for name, question in questions.items():
        try:
            answers[name] = question()
        except nvml.NVMLError:
            answers[name] = None
    return answers


def _word(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def memory_mib() -> dict[str, float | None]:
    """This process's resident memory in MiB, now and at its highest; None where the system does not say."""
    text = read_text(Path("/proc/self/status")) or ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {
        name: round(int(fields[key].split()[0]) / 1024, 1) if key in fields else None
        for name, key in (("resident", "VmRSS"), ("highest", "VmHWM"))
    }


def processor_name() -> str | None:
    """The CPU's name (x86), else the board's (device tree), else what Python knows."""
    for line in (read_text(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    board = read_text(Path("/proc/device-tree/model"))
    return (board or platform.processor() or "").strip("\0") or None


def _memory_mib() -> int | None:
    for line in (read_text(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemTotal"):
            return int(line.split()[1]) // 1024
    return None


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def read_text(path: Path) -> str | None:
    """The text of a small file, stripped; None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None
