"""Visits: what a visitor asks for belongs to one visit, and nothing comes of it once that visit is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ...engine.errors import LivetintError

T = TypeVar("T")


class VisitOver(LivetintError):
    """What was asked for belongs to a visit that has ended meanwhile."""

    visitor_sentence = "This visit has ended. Please begin again."

    def __init__(self) -> None:
        super().__init__("the visit ended before the work was done; nothing of it was kept")


class Visit:
    """One visitor's time at a screen. `number` counts the visits of that screen from 1.

    Work for a visitor takes the visit along and calls `check` after every wait, before it writes or offers anything.
    """

    def __init__(self, number: int = 1, screen: int = 1) -> None:
        self.number = number
        self.screen = screen
        self._end = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether the visitor has left. May be read in any thread."""
        return self._end.is_set()

    def end(self) -> Visit:
        """End this visit. Returns the next one."""
        self._end.set()
        return Visit(self.number + 1, self.screen)

    def check(self) -> None:
        """Raise VisitOver where the visit has ended."""
        if self.over:
            raise VisitOver

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`. When the visit ends first, cancel it, wait until it has tidied up, and raise VisitOver.

        A result that comes too late is dropped, so it must not be something that has to be closed.
        """
        both = [asyncio.ensure_future(work), asyncio.ensure_future(self._end.wait())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            self.check()
            return both[0].result()  # type: ignore[return-value]
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
