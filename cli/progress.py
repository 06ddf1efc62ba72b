"""Progress bars for long commands. They go to stderr, and only if stderr is a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bars:
    """Named bars, as a context manager. A bar appears at its first step."""

    def __init__(self, bytes_counted: bool = False) -> None:
        """bytes_counted: the steps are bytes of a download."""
        count = DownloadColumn() if bytes_counted else MofNCompleteColumn()
        columns = (TextColumn("{task.description:<24}"), BarColumn(), count, TimeElapsedColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    @property
    def shown(self) -> bool:
        """Whether there is a terminal that shows the bars."""
        return not self._progress.disable

    def tick(self, name: str, total: int) -> None:
        """Count one more of `total` steps of `name` as done."""
        self._progress.advance(self._task(name, total))

    def set(self, name: str, done: int, total: int, detail: str = "") -> None:
        """Set `done` of `total` steps of `name` as done. total: 0 for unknown. detail: names the next step."""
        text = f"{name}: {detail}" if detail else name
        self._progress.update(self._task(name, total), completed=done, total=total or None, description=text)

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total or None)
        return self._tasks[name]
