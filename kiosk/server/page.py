"""What the kiosk knows of its page: what it shows, and whether it shows any life."""

from __future__ import annotations

import time

# A page beats every few seconds. One that has had the time to start and is silent for longer is lost.
SEEN_S = 10.0
STARTS_S, LOST_S = 60.0, 15.0


class PageWatch:
    """Hears of the page's beats."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.last_beat_s = -1e9
        self._state = "none"

    def beat(self, state: str) -> None:
        """The page is alive and shows `state`."""
        self._state, self.last_beat_s = state, time.monotonic()

    @property
    def uptime_s(self) -> float:
        """Seconds since the kiosk started."""
        return time.monotonic() - self.started_s

    @property
    def state(self) -> str:
        """What the page showed last, or that nothing is seen of it."""
        return self._state if time.monotonic() - self.last_beat_s < SEEN_S else "not seen"

    @property
    def lost(self) -> bool:
        """Whether a page shows no life that has had the time to start."""
        now = time.monotonic()
        return now - self.started_s > STARTS_S and now - self.last_beat_s > LOST_S
