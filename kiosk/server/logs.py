"""Structured logs on standard error: one JSON object a line, without anything of a visitor."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import deque


class JsonLines(logging.Formatter):
    """time, level, event, and the facts given as extra={"facts": {...}}."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = {"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()}
        line.update(getattr(record, "facts", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = repr(record.exc_info[1])
        return json.dumps(line, default=str)


class LastErrors(logging.Handler):
    """Keeps the last warnings and errors for the operator page."""

    def __init__(self, count: int = 20) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=count)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def set_up_logs() -> LastErrors:
    """Log the kiosk and the web server to standard error. Returns the handler that keeps the last errors."""
    to_screen, kept = logging.StreamHandler(sys.stderr), LastErrors()
    for handler in (to_screen, kept):
        handler.setFormatter(JsonLines())
    for name, level in (("livetint", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [to_screen, kept]
        logger.setLevel(level)
        logger.propagate = False
    return kept
