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
        # The picture that was changed last, by screen.
        self._last: dict[int, str] = {}
        # The edit that was saved last, by screen.
        self._saved: dict[int, object] = {}
        self.opens: Counter[str] = Counter()
        self.edits: Counter[str] = Counter()
        self.saves: Counter[str] = Counter()

    def edited(self, id: str, screen: int, times: int = 1) -> None:
        """A visitor changed a picture at a screen.

        Its first change there after another picture's, or in a visit, counts as opening.
        """
        name = self._name(id)
        self.edits[name] += times
        if id != self._last.get(screen):
            self.opens[name] += 1
        self._last[screen] = id

    def saved(self, id: str, screen: int, edit: object) -> None:
        """A visitor saved a picture at a screen.

        The same edit counts once, however many places it goes to: the page sends one save to each of them.
        """
        if edit != self._saved.get(screen):
            self.saves[self._name(id)] += 1
        self._saved[screen] = edit

    def end_visit(self, screen: int) -> None:
        """The next visitor at a screen opens a picture anew, be it the same one."""
        self._last.pop(screen, None)
        self._saved.pop(screen, None)

    def _name(self, id: str) -> str:
        return id if id in self._shown else OWN
