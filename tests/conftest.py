"""What all tests need."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let commands that tests start be interrupted: a job in the background of a shell ignores Ctrl-C, and so do its
    children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
