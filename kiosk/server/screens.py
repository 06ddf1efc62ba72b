"""The screens of a kiosk: the places for pages, each with a visit of its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Protocol

from .page import PageLife
from .visits import Visit


class PageSocket(Protocol):
    """The WebSocket of a page. leaving: it is going or gone."""

    leaving: bool

    async def tell(self, kind: str, **facts: object) -> None:
        """Send a short message to the page."""
        ...

    def replace(self) -> None:
        """End the socket: another one has the screen now."""
        ...


class Screen:
    """A place for one page, with the visit that goes on there.

    number: from 1. name: of the page that has the place, which only that page and the server know; "" where it is
    free. life: the beats of that page.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = ""
        self.visit = Visit(screen=number)
        self.life = PageLife()
        self.socket: PageSocket | None = None
        self.left_s = 0.0

    @property
    def connected(self) -> bool:
        """Whether a page is there, and not just leaving."""
        return self.socket is not None and not self.socket.leaving

    def connect(self, socket: PageSocket) -> None:
        """The page has a socket from now on. One that it had before ends."""
        if self.socket is not None:
            self.socket.replace()
        self.socket = socket

    def disconnect(self, socket: PageSocket) -> bool:
        """A socket of the page has ended. Returns whether it was the present one."""
        if self.socket is not socket:
            return False
        self.socket, self.left_s = None, time.monotonic()
        return True

    def give_up(self) -> None:
        """No page has this place any more."""
        self.name = ""
        self.life = PageLife()


class Screens:
    """All places of a kiosk. count: how many pages can be used at once."""

    def __init__(self, count: int) -> None:
        self._all = tuple(Screen(number) for number in range(1, count + 1))

    def __iter__(self) -> Iterator[Screen]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def connected(self) -> list[Screen]:
        """Those where a page is."""
        return [screen for screen in self._all if screen.connected]

    def of(self, name: str) -> Screen | None:
        """The place of a page by its name; None where it has none (any more)."""
        return next((screen for screen in self._all if name and screen.name == name), None)

    def place_for(self, name: str, after: str) -> tuple[Screen, bool] | None:
        """The place for a page that connects, and whether its visit goes on; None while all are taken.

        name: what the page was called before it lost its link, "" for a page that was just loaded. after: the name of
        the page that was in the same tab before it was loaded; it takes over that page's place. Otherwise a page gets a
        free place, or that of the page that has been gone for the longest time.
        """
        if same := self.of(name):
            return same, True
        found = self.of(after) or next((screen for screen in self._all if not screen.name), None)
        if found is None:
            gone = [screen for screen in self._all if not screen.connected]
            found = min(gone, key=lambda screen: screen.left_s, default=None)
        if found is None:
            return None
        found.give_up()
        found.name = secrets.token_urlsafe(16)
        return found, False
