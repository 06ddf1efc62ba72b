"""Progress bars for long commands. They go to stderr, and only if stderr is a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Columns that all but the description take: a bar, a count such as 12345/100000, two times, and the spaces between.
BAR_COLUMNS, OTHER_COLUMNS = 14, 50
MIN_DESCRIPTION = 8


class TimeLeftColumn(TimeRemainingColumn):
    """The time left, said to be that."""

    def render(self, task: Task) -> Text:
        return super().render(task).append(" left")


class Bars:
    """Named bars, as a context manager. A bar appears at its first step. At 80 columns each fits on a line."""

    def __init__(self, bytes_counted: bool = False) -> None:
        """bytes_counted: the steps are bytes of a download."""
        count = DownloadColumn() if bytes_counted else MofNCompleteColumn()
        console = Console(stderr=True)
        self._width = max(MIN_DESCRIPTION, console.width - OTHER_COLUMNS)
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(BAR_COLUMNS), count,
            TimeElapsedColumn(), TimeLeftColumn(),
        )  # fmt: skip
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
        text = self._fitted(f"{name}: {detail}" if detail else name)
        self._progress.update(self._task(name, total), completed=done, total=total or None, description=text)

    def _fitted(self, text: str) -> str:
        """A description, cut or filled up so that bars stand under each other."""
        return text.ljust(self._width) if len(text) <= self._width else text[: self._width - 1] + "…"

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(self._fitted(name), total=total or None)
        return self._tasks[name]
