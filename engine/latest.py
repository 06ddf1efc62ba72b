"""Touches that come faster than frames: of those waiting for one photograph, only the newest is answered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from .colour.global_hints import GlobalHints
from .errors import RunnerError
from .hints import Hint
from .runners.base import NO_GLOBAL_HINTS, Features, Runner


@dataclass(frozen=True, eq=False)
class _Touch:
    features: Features
    hints: tuple[Hint, ...]
    global_hints: GlobalHints
    answer: Future[NDArray[np.float32]]


class LatestTouches:
    """Asks a runner in a thread of its own, for any number of photographs, which take turns.

    While it is open nobody else may close the runner. Leaving `with` answers what still waits.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._waiting: OrderedDict[int, _Touch] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="livetint-touches", daemon=True)
        self._thread.start()

    def ask(
        self, features: Features, hints: Sequence[Hint], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> Future[NDArray[np.float32]]:
        """The colours to come, ab float32 [2, H, W]; cancelled when newer hints of the same photograph overtake."""
        touch = _Touch(features, tuple(hints), global_hints, Future())
        with self._changed:
            if self._closed:
                raise RunnerError("these touches are closed; make new ones")
            # A newer touch keeps its photograph's place in the queue, so that nobody can be pushed back for ever.
            overtaken = self._waiting.get(id(features))
            self._waiting[id(features)] = touch
            self._changed.notify()
        if overtaken is not None:
            overtaken.answer.cancel()
        return touch.answer

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> LatestTouches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        while (touch := self._next()) is not None:
            if not touch.answer.set_running_or_notify_cancel():
                continue
            try:
                touch.answer.set_result(self._runner.colorize(touch.features, touch.hints, touch.global_hints))
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                touch.answer.set_exception(error)

    def _next(self) -> _Touch | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return self._waiting.popitem(last=False)[1] if self._waiting else None
