"""The only program that opens a pickle: a child process with limits that converts `.pth` to safetensors.

`python -m livetint.build_engine.unpickle CHECKPOINT.pth OUT.safetensors`. It uses torch's restricted unpickler
(weights_only), in a version of torch without its known vulnerabilities. Memory, CPU time and the size of the output
are limited as well. The last line on stderr says what went wrong.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

MIN_TORCH = (2, 10)
MEMORY_BYTES = 3 << 30
CPU_SECONDS = 120
FILE_BYTES = 1 << 30
REFUSED = 3


def main(source: str, target: str) -> int:
    """Convert; returns the exit code."""
    try:
        import torch
        from safetensors.torch import save_file
    except ModuleNotFoundError as error:
        return _refuse(f"reading a .pth file needs {error.name}: pip install 'livetint[train]'")
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < MIN_TORCH:
        return _refuse(f"reading a .pth file safely needs torch 2.10 or newer, found {torch.__version__}")
    torch.set_num_threads(1)
    _limit()
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except MemoryError:
        return _refuse("it needs more memory than a checkpoint of these networks may")
    except Exception as error:  # noqa: BLE001 - anything may come out of a foreign pickle
        return _refuse(f"it cannot be read as weights alone ({_first_line(error)})")
    tensors, reason = _tensors(loaded, torch.Tensor)
    if reason:
        return _refuse(reason)
    weights = {
        name: (value.float() if value.is_floating_point() else value).detach().clone().contiguous()
        for name, value in tensors.items()
    }
    save_file(weights, target)
    return 0


def _tensors(loaded: object, kind: type) -> tuple[dict, str]:
    """The state dict in what was loaded, or why there is none."""
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not loaded:
        return {}, f"it holds a {type(loaded).__name__}, expected a state dict"
    others = [name for name, value in loaded.items() if not isinstance(name, str) or not isinstance(value, kind)]
    if others:
        return {}, f"its entry {others[0]!r} is no tensor, expected a state dict"
    return dict(loaded), ""


def _limit() -> None:
    """Set the limits. They start here, because the imports before need much address space."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        used = pages * os.sysconf("SC_PAGE_SIZE")
        for resource_kind, limit in (
            (resource.RLIMIT_AS, used + MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_FSIZE, FILE_BYTES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(resource_kind, (limit, limit))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _refuse(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
