"""TensorRT's timing caches: how fast each kernel was, so that a build does not measure it again.

A cache is kept for each model, TensorRT and GPU, beside the folders of plans. A build of new weights, of another
precision or after a power cut starts from what an earlier build measured. Deleting a cache only costs time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..engine.errors import OutputError
from ..engine.files import atomic_write
from ..engine.runners.tensorrt.plan_folder import plan_cache_folder
from ..engine.runners.tensorrt.versions import LoadedTarget


def timing_cache_path(model: str, target: LoadedTarget, capability: str | None) -> Path:
    """Where the timings of a model for a TensorRT and a GPU are kept."""
    name = f"{model}-{target.name}-{target.version}-{capability or 'no-gpu'}.cache"
    return plan_cache_folder() / "timings" / name


def read_timings(path: Path) -> bytes:
    """What earlier builds measured; b"" if nothing can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def keep_timings(path: Path, timings: bytes, say: Callable[[str], None]) -> None:
    """Write what was measured. A folder that cannot be written is reported in a line, because it only costs time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, timings)
    except (OutputError, OSError) as error:
        say(f"the next build will take as long as this one, because its timings cannot be kept: {error}")
