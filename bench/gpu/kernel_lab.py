"""The kernel lab on the GPU: every launch against its reference, and again under each tool of compute-sanitizer."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...engine import kernels
from ...engine.errors import DeviceError
from ...engine.runners.tensorrt.device import Device

LAB = Path(kernels.__file__).parent / "lab" / "lab.cu"
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
NVCC_PLACES = "/usr/local/cuda/bin"
MAX_S = 1800


def check_kernels(say: Callable[[str], None]) -> dict[str, Any]:
    """Step → "passed", "failed" or why it was not run. `said`: step → the end of what it printed."""
    nvcc = _tool("nvcc")
    if nvcc is None:
        return {"lab": "not run: nvcc was not found"}
    try:
        device = Device()
    except DeviceError as error:
        return {"lab": f"not run: {error}"}
    architecture = f"-arch=sm_{device.compute_capability.replace('.', '')}"
    device.close()
    found: dict[str, Any] = {"said": {}}
    with tempfile.TemporaryDirectory() as folder:
        lab = Path(folder) / "lab"
        say("kernels: compiling the lab")
        command = [nvcc, "-std=c++17", "-O3", "-lineinfo", architecture, "-o", str(lab), str(LAB)]
        if not _run("compile", command, found):
            return found
        say("kernels: running the lab")
        _run("lab", [str(lab)], found)
        sanitizer = _tool("compute-sanitizer")
        for tool in TOOLS:
            if sanitizer is None:
                found[tool] = "not run: compute-sanitizer was not found"
                continue
            say(f"kernels: {tool}")
            _run(tool, [sanitizer, "--tool", tool, "--error-exitcode", "9", str(lab)], found)
    return found


def _run(step: str, command: Sequence[str], found: dict[str, Any]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_S, check=False)
    except subprocess.TimeoutExpired:
        found[step] = "failed"
        found["said"][step] = f"did not end within {MAX_S} s"
        return False
    found[step] = "failed" if done.returncode else "passed"
    found["said"][step] = (done.stdout + done.stderr)[-8000:]
    return not done.returncode


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=NVCC_PLACES)
