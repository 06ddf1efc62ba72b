"""The files with which a page computes touches itself: made once by the engine process, kept while there is room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from ..messages import PictureRef, Task
from .pictures import Picture

MAX_KEPT_BYTES = 64 << 20
Kind = Literal["features", "histogram"]


class TouchFiles:
    """The packed files of the model and of the pictures on show, never of a visitor's own.

    ask: gives the bytes with which the engine answers a task. shown: the pictures on show, by id.
    """

    def __init__(self, ask: Callable[[Task], Awaitable[bytes]], shown: Callable[[], Mapping[str, Picture]]) -> None:
        self._ask, self._shown = ask, shown
        self._heads = b""
        # The least recently used first.
        self._kept: OrderedDict[tuple[Kind, PictureRef], bytes] = OrderedDict()
        # Several pages may ask for the same file.
        self._one_at_a_time = asyncio.Lock()

    async def heads(self) -> bytes:
        """The file of the heads. Raises EngineLost, and TaskRefused for a model whose touches a page cannot compute."""
        if not self._heads:
            self._heads = await self._ask(Task("heads"))
        return self._heads

    async def get(self, kind: Kind, id: str) -> bytes:
        """A file of a picture. Raises as `heads`, and KeyError where no such picture is on show, or none any more."""
        ref = self._shown()[id].ref
        key = kind, ref
        async with self._one_at_a_time:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            task = Task(kind, picture=ref) if kind == "features" else Task(kind, reference=ref)
            made = await self._ask(task)
            if self._shown()[id].ref != ref:
                raise KeyError(id)
            self._keep(key, made)
            return made

    def forget(self, ref: PictureRef) -> None:
        """A picture is gone."""
        for key in [key for key in self._kept if key[1] == ref]:
            del self._kept[key]

    def _keep(self, key: tuple[Kind, PictureRef], made: bytes) -> None:
        self._kept[key] = made
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)
