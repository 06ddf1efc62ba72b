"""The edits of one page: the newest waits for its turn, and replaces one that waits already."""

from __future__ import annotations

import asyncio
import time

from msgspec.structs import replace

from ..messages import Edit


class EditLine:
    """A queue of one. taken: the edit that was taken last. came_s: when it came, on the clock of `perf_counter`."""

    taken: Edit

    def __init__(self) -> None:
        self._pending: tuple[Edit, float] | None = None
        self._waiting = asyncio.Event()
        self.came_s = 0.0

    def put(self, edit: Edit) -> bool:
        """The newest edit. Returns whether it replaces another one."""
        older = self._pending
        if older is not None and older[0].point is not None and edit.point is None and older[0].photo == edit.photo:
            # A question for colours must not be lost to the edit that overtakes it. (One for an outline is: it is
            # about a hint of that edit.)
            edit = replace(edit, point=older[0].point)
        self._pending = edit, time.perf_counter()
        self._waiting.set()
        return older is not None

    async def wait(self) -> None:
        """Return once an edit waits."""
        await self._waiting.wait()

    def take(self) -> Edit:
        """The edit that waits."""
        assert self._pending is not None
        (self.taken, self.came_s), self._pending = self._pending, None
        self._waiting.clear()
        return self.taken

    def put_back(self) -> None:
        """The edit that was taken waits again, unless a newer one does."""
        if self._pending is None:
            self._pending = self.taken, self.came_s
            self._waiting.set()
