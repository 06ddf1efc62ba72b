"""The pictures now on show, kept up to date with the folder of the exhibition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import awatch

from ...engine.errors import ConfigError
from .exhibition import EMPTY, GalleryPicture, load_gallery
from .pictures import Picture

log = logging.getLogger("livetint.kiosk")

# A folder that went away (a stick, a share) may come back.
LOOK_AGAIN_S = 5.0
DEBOUNCE_MS, STARTED_MS = 400, 1000
NOT_WATCHED, NOT_RELOADED = "gallery not watched", "gallery not reloaded"


class Gallery:
    """Holds the pictures on show by id, in order. `edition` counts the changes that a page has to show.

    left_out: sentences about entries of the folder that cannot be shown.
    forget: called with every picture that left, or whose content was replaced.
    Raises ConfigError where the folder is no exhibition.
    """

    def __init__(self, folder: Path, forget: Callable[[Picture], None]) -> None:
        self.folder = folder
        self.left_out: tuple[str, ...] = ()
        self.pictures: dict[str, GalleryPicture] = self._load(())
        self.edition = 0
        self._forget = forget
        self._stale = asyncio.Event()
        self._said: dict[str, str] = {}

    def __contains__(self, id: object) -> bool:
        """Whether the picture with an id is on show."""
        return id in self.pictures

    def open(self, id: str) -> int:
        """As `Picture.open`. A file that changed unnoticed (on a share) makes `watch` look again."""
        try:
            return self.pictures[id].open()
        except KeyError:
            self._stale.set()
            raise

    @property
    def mistake(self) -> str:
        """Why the folder as it is now is not on show, "" where it is."""
        return self._said.get(NOT_RELOADED, "")

    async def move_to(self, folder: Path) -> None:
        """Show the exhibition of another folder from now on."""
        self.folder = folder
        await self.reload()
        self._stale.set()  # `watch` follows the new folder

    async def watch(self) -> None:
        """Follow the folder for ever, whatever goes wrong on the way."""
        while True:
            self._stale.clear()
            started = False
            try:
                async for changes in awatch(
                    self.folder, debounce=DEBOUNCE_MS, stop_event=self._stale,
                    yield_on_timeout=True, rust_timeout=STARTED_MS,
                ):  # fmt: skip
                    self._said.pop(NOT_WATCHED, None)
                    # The first time in any case: something may have changed just before the watch began.
                    if changes or not started:
                        await self.reload()
                    started = True
            except Exception as error:  # noqa: BLE001 - a folder may fail in any way; what was on show stays
                self._say_once(NOT_WATCHED, error)
            await asyncio.sleep(LOOK_AGAIN_S)
            await self.reload()

    async def reload(self) -> None:
        """Read the folder again. What was on show stays where that fails."""
        try:
            found = await asyncio.to_thread(self._load, tuple(self.pictures.values()))
        except Exception as error:  # noqa: BLE001 - staff are in the middle of something, or the folder is gone
            self._say_once(NOT_RELOADED, error)
            return
        self._said.pop(NOT_RELOADED, None)
        before, self.pictures = self.pictures, found
        if found == before and list(found) == list(before):
            return
        self.edition += 1
        kept = {picture.ref for picture in found.values()}
        for picture in before.values():
            if picture.ref not in kept:
                self._forget(picture)
        log.info("gallery reloaded", extra={"facts": {"pictures": len(found)}})

    def _load(self, known: Sequence[GalleryPicture]) -> dict[str, GalleryPicture]:
        """Read the folder, and log which entries are left out, each once; but not those that may be being copied."""
        left_out: list[str] = []
        found = load_gallery(self.folder, known, left_out.append)
        for sentence in left_out:
            if sentence not in self.left_out and not sentence.endswith(EMPTY):
                log.warning("picture left out", extra={"facts": {"reason": sentence}})
        self.left_out = tuple(left_out)
        return found

    def _say_once(self, event: str, error: Exception) -> None:
        """Log what went wrong, unless it was the same the last time."""
        reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__} {error}".strip()
        if self._said.get(event) != reason:
            self._said[event] = reason
            log.warning(event, extra={"facts": {"reason": reason}})
