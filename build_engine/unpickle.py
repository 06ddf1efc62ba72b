"""The one program that may open a pickle: a child process with limits, from `.pth` to safetensors.

`python -m livetint.build_engine.unpickle CHECKPOINT.pth OUT.safetensors`. The unpickler is torch's restricted one
(weights_only), in a torch that is new enough for its known holes to be closed; memory, CPU time and the
size of what it writes are limited on top. What went wrong is the last line on stderr.
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
    plain = {
        name: (value.float() if value.is_floating_point() else value).detach().clone().contiguous()
        for name, value in tensors.items()
    }
    save_file(plain, target)
    return 0


def _tensors(loaded: object, kind: type) -> tuple[dict, str]:
    """The state dict in what was loaded, or why there is none."""
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not loaded:
        return {}, f"it holds a {type(loaded).__name__}, expected a state dict"
    strange = [name for name, value in loaded.items() if not isinstance(name, str) or not isinstance(value, kind)]
    if strange:
        return {}, f"its entry {strange[0]!r} is no tensor, expected a state dict"
    return dict(loaded), ""


def _limit() -> None:
    """Limits from here on: the imports before are ours and need much address space."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        used = pages * os.sysconf("SC_PAGE_SIZE")
        for what, most in (
            (resource.RLIMIT_AS, used + MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_FSIZE, FILE_BYTES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(what, (most, most))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _refuse(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
