"""Ctrl-C while modules are imported. This module comes first, so it imports next to nothing itself."""

from __future__ import annotations

import _signal as signal  # pyright: ignore[reportMissingImports]  # what `signal` wraps, without importing enum
import os

INTERRUPTED = 130


class ExitOnInterrupt:
    """A context that ends the process in one line where SIGINT arrives inside it, while modules are imported.

    Libraries that are interrupted while they are imported report all kinds of errors. A SIGINT that the process
    ignores or handles otherwise is left as it is, and so are threads beside the main one.
    """

    def __enter__(self) -> None:
        self._installed = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, _end)
                self._installed = True
            except ValueError:  # not in the main thread
                pass

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_: object) -> None:
    try:
        os.write(2, b"livetint: interrupted\n")
    finally:
        os._exit(INTERRUPTED)
