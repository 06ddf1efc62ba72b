"""Pictures that visitors take away on their phones: each for a while, behind an address nobody can guess."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict

from ..settings import TakeawayTable
from .guard import authority

MAX_PICTURES = 20
MAX_BYTES = 256 << 20


class Takeaways:
    """The pictures that can be fetched now. `port` is the one that the take-away listener got."""

    def __init__(self, settings: TakeawayTable) -> None:
        self._settings = settings
        self.port = settings.port
        self._pictures: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        self._expire()
        return len(self._pictures)

    def offer(self, picture: bytes) -> str:
        """Make a picture fetchable for a while. Returns the address that a phone opens."""
        self._expire()
        while self._pictures and (len(self._pictures) >= MAX_PICTURES or self._free_bytes < len(picture)):
            self._pictures.popitem(last=False)
        key = secrets.token_urlsafe(16)
        self._pictures[key] = time.monotonic() + self._settings.minutes * 60, picture
        return f"http://{authority(self._settings.host, self.port)}/{key}"

    def get(self, key: str) -> bytes | None:
        """The picture of an address's key, or None when there is none (any more)."""
        self._expire()
        return self._pictures[key][1] if key in self._pictures else None

    @property
    def _free_bytes(self) -> int:
        """Bytes that further pictures may take."""
        return MAX_BYTES - sum(len(picture) for _, picture in self._pictures.values())

    def _expire(self) -> None:
        now = time.monotonic()
        for key in [key for key, (until, _) in self._pictures.items() if until <= now]:
            del self._pictures[key]
