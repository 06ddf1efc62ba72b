"""Pillow, which is made for trusted programs, made fit for files of strangers: its limit, its warnings, its errors."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image, ImageCms

# What Pillow's decoders raise on damaged files (found by fuzzing); rarer errors derive from these.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
    RuntimeError,
    EOFError,
    BufferError,
    MemoryError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
)


@contextlib.contextmanager
def pillow_limited_to(limit_pixels: int) -> Iterator[None]:
    """Make Pillow refuse, not just warn about, more than `limit_pixels`, and silence its other warnings."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limit_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def quiet_c_libraries() -> Iterator[None]:
    """Keep libtiff's own messages off the terminal: Pillow gives no way to silence them.

    Descriptor 2 belongs to the whole process, so this is done in single-threaded programs alone (the command line).
    In a server these messages go to its log, where they do no harm.
    """
    if threading.active_count() > 1:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            terminal = os.dup(2)
        except OSError:  # descriptor 2 is closed, so there is nothing to silence
            yield
            return
        stack.callback(os.close, terminal)
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, 2)
        os.close(null_device)
        stack.callback(os.dup2, terminal, 2)
        yield
