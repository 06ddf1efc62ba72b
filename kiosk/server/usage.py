"""How often each picture was opened, touched and saved since the kiosk started. Nothing of a visitor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

OWN = "own"


class Usage:
    """Counts by picture id. All pictures that visitors brought count as one, under OWN."""

    def __init__(self, shown: Container[str]) -> None:
        """shown: the ids on show, as they are at any time."""
        self._shown = shown
        self._last = ""
        self.opens: Counter[str] = Counter()
        self.edits: Counter[str] = Counter()
        self.saves: Counter[str] = Counter()

    def edited(self, id: str, times: int = 1) -> None:
        """A visitor changed a picture. Its first change after another picture's, or in a visit, counts as opening."""
        name = self._name(id)
        self.edits[name] += times
        if id != self._last:
            self.opens[name] += 1
        self._last = id

    def saved(self, id: str) -> None:
        """A visitor saved a picture."""
        self.saves[self._name(id)] += 1

    def end_visit(self) -> None:
        """The next visitor opens a picture anew, be it the same one."""
        self._last = ""

    def _name(self, id: str) -> str:
        return id if id in self._shown else OWN
