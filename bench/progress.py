"""Progress of a bench, reported to a callback; the command line shows it as a bar."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with `done` of `total` steps of the task `name`; `detail` names the next step."""

    def __call__(self, name: str, done: int, total: int, detail: str = "", /) -> object: ...


def no_progress(name: str, done: int, total: int, detail: str = "", /) -> None:
    """Show nothing."""


class Steps:
    """Counts the steps of one task for a `Progress`; call it after each of `total` steps."""

    def __init__(self, progress: Progress, task: str, total: int) -> None:
        self._progress, self._task, self._total, self._done = progress, task, total, 0
        progress(task, 0, total)

    def __call__(self, detail: str = "") -> None:
        """One more step is done; `detail` is what comes next."""
        self._done += 1
        self._progress(self._task, self._done, self._total, detail)
