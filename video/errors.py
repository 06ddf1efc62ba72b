"""PyAV, and its errors as Livetint's."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..engine.errors import ConfigError, ImageRejected
from ..engine.files import write_error


def load_av() -> Any:
    """The module `av`. Raises ConfigError where it is not installed."""
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise ConfigError("videos need PyAV; install it with: pip install 'livetint[video]'") from error
    # FFmpeg's errors become exceptions, so its lines are not needed. PyAV's own `set_level` makes decoders hang.
    av.logging.set_libav_level(av.logging.PANIC)
    os.environ.setdefault("SVT_LOG", "1")
    return av


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Errors of FFmpeg become ImageRejected with the file's name."""
    av = load_av()
    try:
        yield
    except av.error.FileNotFoundError as error:
        raise ImageRejected(f"{path} does not exist; check the path") from error
    except av.error.FFmpegError as error:
        raise ImageRejected(f"{path} cannot be read as a video: {error.strerror}; check the file") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of FFmpeg become OutputError with the file's name."""
    av = load_av()
    try:
        yield
    except av.error.FFmpegError as error:
        cause = error if isinstance(error, OSError) else OSError(None, str(error))
        raise write_error(path, cause) from error
