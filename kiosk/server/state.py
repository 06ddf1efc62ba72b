"""What a running kiosk knows: settings, pictures, engine, figures, and who is at the controls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterable, Coroutine
from pathlib import Path
from typing import Any, Literal

from watchfiles import awatch

from ...engine.errors import ConfigError, LivetintError
from ...engine.files import atomic_write
from ..engine.link import EngineLink, EngineLost, TaskRefused
from ..memory import NamelessFile
from ..messages import Answer, Edit, PictureRef, Task
from ..settings import Settings
from .exports import Exporter
from .gallery import Picture, bundled_photos, load_gallery
from .guard import authority
from .logs import LastErrors
from .metrics import Metrics
from .notify import notify
from .thermal import HeatWatch
from .uploads import Uploads

log = logging.getLogger("livetint.kiosk")

PULSE_EVERY_S = 3.0
HEALTHY_S = 10.0
PAGE_STARTS_S, PAGE_LOST_S = 60.0, 15.0
PREVIEW_PX = (480, 2048)
KEPT_PREVIEWS = 64
MAX_TAKEAWAYS = 20
MAX_TAKEAWAY_BYTES = 256 << 20
# A folder that went away (a stick, a share) may come back.
LOOK_AGAIN_S = 5.0


class Kiosk:
    """State shared by all addresses. Nothing in it outlives the process but what a visitor saved."""

    def __init__(self, settings: Settings, errors: LastErrors | None = None) -> None:
        self.settings = settings
        self.errors = errors or LastErrors()
        self.folder = Path(settings.gallery.folder) if settings.gallery.folder else bundled_photos()
        self.gallery: dict[str, Picture] = load_gallery(self.folder)
        self.engine = EngineLink(settings.engine, settings.gallery.max_megapixels)
        self.uploads = Uploads(settings.uploads)
        self.exporter = Exporter()
        self.metrics = Metrics()
        self.heat = HeatWatch()
        self.started_s = time.monotonic()
        self.on_floor = True
        self.takeaway_port = 0
        self.page_state = "none"
        self.last_beat_s = -1e9
        self._previews: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._takeaways: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._chores: set[asyncio.Task[None]] = set()

    # Life

    def start(self) -> None:
        """Start the engine and the chores."""
        self.engine.start()
        self._do_beside(self._pulse())
        self._do_beside(self._watch_gallery())

    async def close(self) -> None:
        """Stop everything that `start` started, and let go of what a visitor brought."""
        self.uploads.wipe()
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self.engine.close()

    def _do_beside(self, chore: Coroutine[Any, Any, None]) -> None:
        """Run a chore; one that fails is said in the log, for nobody waits for it."""
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)

    def _chore_done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and task.exception():
            log.error("a chore failed", exc_info=task.exception())

    @property
    def healthy(self) -> bool:
        """An inference succeeded just now: not merely that the port answers."""
        return self.engine.fresh_s < HEALTHY_S

    @property
    def page(self) -> str:
        """What the page said last it shows, or that nothing is seen of it."""
        return self.page_state if time.monotonic() - self.last_beat_s < HEALTHY_S else "not seen"

    @property
    def page_lost(self) -> bool:
        """Whether a page shows no life that has had the time to come up."""
        now = time.monotonic()
        return now - self.started_s > PAGE_STARTS_S and now - self.last_beat_s > PAGE_LOST_S

    @property
    def open_now(self) -> bool:
        """Within opening hours and on the floor."""
        hours = self.settings.hours
        if not self.on_floor or not hours.opens:
            return self.on_floor
        now = time.strftime("%H:%M")
        if hours.opens <= hours.closes:
            return hours.opens <= now < hours.closes
        return now >= hours.opens or now < hours.closes

    async def _pulse(self) -> None:
        told_ready = False
        while True:
            await self.engine.wait_ready()
            self.heat.look()
            if self.engine.fresh_s > PULSE_EVERY_S:
                with contextlib.suppress(EngineLost, TaskRefused):
                    await self.engine.ask(Task("pulse"))
            if self.healthy:
                if not told_ready:
                    told_ready = notify("READY=1")
                notify("WATCHDOG=1")
            await asyncio.sleep(PULSE_EVERY_S)

    async def _watch_gallery(self) -> None:
        while True:
            try:
                async for _ in awatch(self.folder, debounce=400):
                    await self._reload_gallery()
            except OSError as error:
                log.warning("gallery not watched", extra={"facts": {"reason": str(error)}})
            await asyncio.sleep(LOOK_AGAIN_S)
            await self._reload_gallery()

    async def _reload_gallery(self) -> None:
        try:
            gallery = await asyncio.to_thread(load_gallery, self.folder)
        except ConfigError as error:
            # Staff are in the middle of something, or made a mistake: what was on show stays.
            log.warning("gallery not reloaded", extra={"facts": {"reason": str(error)}})
            return
        if gallery != self.gallery:
            self.gallery = gallery
            log.info("gallery reloaded", extra={"facts": {"pictures": len(self.gallery)}})

    # Work

    def picture(self, id: str) -> Picture:
        """A picture on show or brought by the visitor. KeyError where there is none (any more)."""
        return self.uploads.pictures[id] if id in self.uploads.pictures else self.gallery[id]

    def open_picture(self, ref: PictureRef) -> int:
        """A descriptor of a picture's file, for the caller to close. KeyError where that version is gone."""
        picture = self.picture(ref.id)
        if picture.ref != ref:
            raise KeyError(ref.id)
        return os.open(picture.path, os.O_RDONLY | os.O_CLOEXEC)

    def _task(self, op: Literal["edit", "ab"], edit: Edit) -> Task:
        """An edit of a browser as a task. KeyError for unknown ids."""
        reference = self.picture(edit.reference).ref if edit.reference else None
        return Task(op, self.picture(edit.photo).ref, reference, edit, self.settings.screen.upsampling)

    async def colour(self, edit: Edit) -> tuple[Answer, bytes]:
        """Answer an edit. Raises KeyError, EngineLost or TaskRefused."""
        started = time.perf_counter()
        answer, pixels = await self.engine.ask(self._task("edit", edit), self.open_picture)
        self.metrics.edits.inc()
        for stage, spent in answer.timings.items():
            self.metrics.latency.labels(stage.removesuffix("_ms")).observe(spent)
        total = (time.perf_counter() - started) * 1000
        self.metrics.latency.labels("edit").observe(total)
        answer.timings["server_ms"] = round(total, 2)
        return answer, pixels

    async def preview(self, picture: Picture, width: int) -> bytes:
        """A picture's light as JPEG, at most `width` (one of PREVIEW_PX) pixels along its longer side."""
        key = picture.id, width
        if key not in self._previews:
            _, pixels = await self._patiently(Task("picture", picture.ref, width=width))
            self._previews[key] = pixels
            while len(self._previews) > KEPT_PREVIEWS:
                self._previews.popitem(last=False)
        return self._previews[key]

    async def render(self, edit: Edit, extension: str = ".png") -> NamelessFile:
        """The coloured photograph at its full size, as a file that the caller closes. Painting goes on meanwhile."""
        task, path = self._task("ab", edit), str(self.picture(edit.photo).path)
        _, ab = await self._patiently(task)
        most = max(self.settings.gallery.max_megapixels, self.settings.uploads.max_megapixels)
        return await self.exporter.make(path, ab, extension, most, task.upsampling)

    async def _patiently(self, task: Task) -> tuple[Answer, bytes]:
        """Ask once more where the engine was lost meanwhile."""
        try:
            return await self.engine.ask(task, self.open_picture)
        except EngineLost:
            return await self.engine.ask(task, self.open_picture)

    async def keep(self, edit: Edit) -> str:
        """Write the coloured photograph to the house's folder; returns its name. Raises OutputError."""
        name = f"livetint-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.png"
        path = Path(self.settings.saving.folder) / name
        with await self.render(edit) as picture:
            # A slow or full disk makes this one visitor wait, not the finger of the next.
            await asyncio.to_thread(lambda: atomic_write(path, picture.read()))
        return name

    # A visitor's own pictures

    async def take_in(self, length: str | None, body: AsyncIterable[bytes]) -> Picture:
        """Open an upload. Raises UploadRefused."""
        picture, pushed_out = await self.uploads.receive(length, body)
        self.metrics.uploads.inc()
        self._let_go(pushed_out)
        return picture

    def wipe_uploads(self) -> None:
        """The visitor is gone: so is what was brought."""
        self._let_go(self.uploads.wipe())

    def _let_go(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            for width in PREVIEW_PX:
                self._previews.pop((picture.id, width), None)
            self._do_beside(self.engine.forget(picture.ref))

    # Take-away

    async def take_away(self, edit: Edit) -> str:
        """Make the coloured photograph fetchable for a while; returns the address a phone opens."""
        with await self.render(edit, ".jpg") as picture:
            return self.offer(await asyncio.to_thread(picture.read))

    def offer(self, picture: bytes) -> str:
        """Make a picture fetchable for a while; returns the address a phone opens."""
        self._forget()
        while self._takeaways and (len(self._takeaways) >= MAX_TAKEAWAYS or self._takeaway_room < len(picture)):
            self._takeaways.popitem(last=False)
        key = secrets.token_urlsafe(16)
        self._takeaways[key] = time.monotonic() + self.settings.takeaway.minutes * 60, picture
        return f"http://{authority(self.settings.takeaway.host, self.takeaway_port)}/{key}"

    def offered(self, key: str) -> bytes | None:
        """The picture of an id, or None when there is none (any more)."""
        self._forget()
        return self._takeaways[key][1] if key in self._takeaways else None

    @property
    def _takeaway_room(self) -> int:
        """Bytes that further pictures may take."""
        return MAX_TAKEAWAY_BYTES - sum(len(picture) for _, picture in self._takeaways.values())

    def _forget(self) -> None:
        now = time.monotonic()
        for key in [key for key, (until, _) in self._takeaways.items() if until <= now]:
            del self._takeaways[key]

    # Words

    def for_page(self) -> dict[str, Any]:
        """What the page needs to know of the settings."""
        screen, visitors, saving = self.settings.screen, self.settings.visitors, self.settings.saving
        return {
            "panel_width_mm": screen.panel_width_mm,
            "reach": screen.reach,
            "contrast": screen.contrast,
            "pixels": screen.pixels,
            "upsampling": screen.upsampling,
            "palm_mm": screen.palm_mm,
            "language": visitors.language,
            "languages": visitors.languages,
            "idle_s": visitors.idle_s,
            "warning_s": visitors.warning_s,
            "download": saving.download,
            "keep": bool(saving.folder),
            "takeaway": bool(self.settings.takeaway.host),
            "uploads": self.uploads.for_page(),
            "pictures": [picture.for_visitors() for picture in self.gallery.values()],
        }

    def status(self) -> dict[str, Any]:
        """For /readyz and the operator: no visitor data."""
        return {
            "healthy": self.healthy,
            "ready": self.engine.ready,
            "open": self.open_now,
            "on_floor": self.on_floor,
            "page": self.page,
            "uptime_s": round(time.monotonic() - self.started_s),
            "engine_pid": self.engine.worker_pid,
            "engine_spare": self.engine.spare_ready,
            "engine_faults": self.engine.faults,
            "last_engine_error": self.engine.last_error,
            "model": self.settings.engine.model,
            "hottest_c": self.heat.hottest_c,
            "too_hot": self.heat.hot,
            "pictures": len(self.gallery),
        }


def visitor_sentence(error: BaseException) -> str:
    """What a visitor may read of an error."""
    return error.visitor_sentence if isinstance(error, LivetintError) else LivetintError.visitor_sentence
