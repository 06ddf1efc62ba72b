"""What the kiosk knows of its pages: what they show, and whether they show any life."""

from __future__ import annotations

import time

# A page beats every few seconds. One that has had the time to start and is silent for longer is lost.
SEEN_S = 10.0
STARTS_S, LOST_S = 60.0, 15.0
NEVER_S = -1e9
NOT_SEEN = "not seen"


class PageLife:
    """Hears the beats of one page."""

    def __init__(self) -> None:
        self._state, self._beat_s = NOT_SEEN, NEVER_S

    def beat(self, state: str) -> None:
        """The page is alive and shows `state`."""
        self._state, self._beat_s = state, time.monotonic()

    @property
    def state(self) -> str:
        """What the page showed last, or that nothing is seen of it."""
        return self._state if time.monotonic() - self._beat_s < SEEN_S else NOT_SEEN


class PageWatch:
    """Hears the beats of all pages. Those of this machine count alone as soon as there is one: it is the browser that
    can be restarted here."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.last_beat_s = self._last_own_s = NEVER_S

    def beat(self, own: bool) -> None:
        """A page is alive. own: on this machine."""
        self.last_beat_s = time.monotonic()
        if own:
            self._last_own_s = self.last_beat_s

    @property
    def uptime_s(self) -> float:
        """Seconds since the kiosk started."""
        return time.monotonic() - self.started_s

    @property
    def lost(self) -> bool:
        """Whether a page shows no life that has had the time to start."""
        last_s = self.last_beat_s if self._last_own_s == NEVER_S else self._last_own_s
        now = time.monotonic()
        return now - self.started_s > STARTS_S and now - last_s > LOST_S
