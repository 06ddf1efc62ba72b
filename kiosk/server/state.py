"""A running kiosk: its parts, their life, and the visits that are going on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from ...engine.errors import LivetintError
from ..engine.link import EngineLink, EngineLost, TaskRefused
from ..messages import Answer, Edit, PictureRef, Task
from ..settings import Settings
from .edit_line import EditLine
from .exhibition import bundled_photos
from .exports import Exporter
from .fonts import missing_glyphs
from .gallery import Gallery
from .guard import LOOPBACK_NAMES
from .hours import for_page, is_open
from .logs import LastErrors
from .metrics import Metrics
from .notify import notify
from .page import NOT_SEEN, PageWatch
from .pictures import Picture
from .previews import Previews
from .screens import Screen, Screens
from .tasks import end_tasks
from .thermal import ThermalWatch
from .touch_files import TouchFiles
from .uploads import Uploads
from .usage import Usage
from .visits import Visit
from .wall import Wall

log = logging.getLogger("livetint.kiosk")

PULSE_EVERY_S = 3.0
HEALTHY_S = 10.0
# States of a page, those in which somebody is there first.
STATES = ("painting", "gallery", "attract", "closed")
# Those in which a visitor is there.
VISITED = STATES[:2]


class Kiosk:
    """State shared by all addresses. Nothing in it outlives the process but what a visitor saved."""

    def __init__(self, settings: Settings, errors: LastErrors | None = None) -> None:
        self.settings = settings
        self.errors = errors or LastErrors()
        folder = Path(settings.gallery.folder) if settings.gallery.folder else bundled_photos()
        self.gallery = Gallery(folder, self._forget)
        self.languages = _shown_languages(settings)
        self.screens = Screens(settings.server.screens)
        self.uploads = Uploads(settings.uploads, settings.server.screens)
        max_megapixels = max(settings.gallery.max_megapixels, settings.uploads.max_megapixels)
        self.engine = EngineLink(settings.engine, settings.gallery.max_megapixels, settings.server.screens)
        self.previews = Previews(self.open_picture, max_megapixels)
        self.exporter = Exporter(settings, self._colours, self._open)
        self.touch_files = TouchFiles(self._made, lambda: self.gallery.pictures)
        # Coloured copies of the pictures whose moods were offered.
        self._moods: dict[PictureRef, bytes] = {}
        self.page = PageWatch()
        self.metrics = Metrics()
        self.thermal = ThermalWatch()
        self.usage = Usage(self.gallery)
        self.wall = Wall(Path(settings.wall.folder) if settings.wall.folder else None)
        self.on_floor = True
        self._background: set[asyncio.Task[None]] = set()
        # One search at a time for a place to touch next.
        self._searching = asyncio.Lock()

    # Life

    def start(self) -> None:
        """Start the engine and what runs in the background."""
        self.engine.start()
        self._run_in_background(self._pulse())
        self._run_in_background(self.gallery.watch())
        self._run_in_background(self.previews.stand_by())

    async def close(self) -> None:
        """Stop everything that `start` started, and let go of what a visitor brought."""
        for screen in self.screens:
            self.end_visit(screen)
        await end_tasks(list(self._background))
        await self.previews.close()
        await self.engine.close()

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`. Nobody waits for it, so its failure goes to the log."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception():
            log.error("background work failed", exc_info=task.exception())

    @property
    def healthy(self) -> bool:
        """An inference succeeded just now: not merely that the port answers."""
        return self.engine.fresh_s < HEALTHY_S

    @property
    def open_now(self) -> bool:
        """Within opening hours and on the floor."""
        return self.on_floor and is_open(self.settings.hours, time.strftime("%H:%M"))

    def hours_for_page(self) -> dict[str, Any]:
        """Whether the exhibit is open, and what the closed screen shows."""
        return for_page(self.settings.hours, self.on_floor, time.strftime("%H:%M"))

    async def _pulse(self) -> None:
        said_ready = False
        while True:
            await self.engine.wait_ready()
            self.thermal.look()
            if self.engine.fresh_s > PULSE_EVERY_S:
                with contextlib.suppress(EngineLost, TaskRefused):
                    await self.engine.ask(Task("pulse"))
            if self.healthy:
                if not said_ready:
                    said_ready = notify("READY=1")
                notify("WATCHDOG=1")
            await asyncio.sleep(PULSE_EVERY_S)

    # Pictures

    def picture(self, id: str, visit: Visit | None = None) -> Picture:
        """A picture on show, or one that was brought in the visit. KeyError where there is none (any more)."""
        brought = self.uploads.pictures.get(id)
        return brought if brought and brought.visit is visit else self.gallery.pictures[id]

    def open_picture(self, ref: PictureRef) -> int:
        """A new descriptor of a picture, which the caller closes. KeyError where it is gone or was replaced."""
        brought = self.uploads.pictures.get(ref.id)
        if (brought or self.gallery.pictures[ref.id]).ref != ref:
            raise KeyError(ref.id)
        return brought.open() if brought else self.gallery.open(ref.id)

    def _open(self, id: str, visit: Visit) -> int:
        """As `open_picture`, by the id of a picture that the visit may see."""
        return self.open_picture(self.picture(id, visit).ref)

    def _forget(self, picture: Picture) -> None:
        """A picture is gone: nothing that was made of it stays."""
        self.previews.forget(picture.ref)
        self.touch_files.forget(picture.ref)
        self._moods.pop(picture.ref, None)
        self._run_in_background(self.engine.forget(picture.ref))

    # The engine's work

    def _task(self, op: Literal["edit", "ab", "next"], edit: Edit, visit: Visit | None) -> Task:
        """An edit of a browser as a task. KeyError for ids that are unknown to the visit."""
        reference = self.picture(edit.reference, visit).ref if edit.reference else None
        picture = self.picture(edit.photo, visit).ref
        screen = visit.screen if visit else 0
        return Task(op, picture, reference, edit, self.settings.screen.upsampling, screen=screen)

    async def colour(self, line: EditLine, screen: Screen) -> tuple[Answer, bytes]:
        """Answer the edit of a screen's page that is the newest when its turn comes.

        Raises KeyError, EngineLost or TaskRefused.
        """
        turn_s = 0.0

        def newest() -> Task:
            nonlocal turn_s
            turn_s = time.perf_counter()
            return self._task("edit", line.take(), screen.visit)

        answer, pixels = await self.engine.ask(newest, self.open_picture)
        self.count_edits({line.taken.photo: 1}, screen)
        answer.timings["turn_ms"] = round((turn_s - line.came_s) * 1000, 2)
        for stage, spent in answer.timings.items():
            self.metrics.latency.labels(stage.removesuffix("_ms")).observe(spent)
        total = (time.perf_counter() - line.came_s) * 1000
        self.metrics.latency.labels("edit").observe(total)
        answer.timings["server_ms"] = round(total, 2)
        return answer, pixels

    def count_edits(self, edits: Mapping[str, int], screen: Screen) -> None:
        """Edits of a screen were answered, by the engine or by its page itself, so many of each picture."""
        for id, count in edits.items():
            self.metrics.edits.inc(count)
            self.metrics.screen_edits.labels(screen.number).inc(count)
            if screen.life.state in VISITED:  # not those of the attract loop
                self.usage.edited(id, screen.number, count)

    async def _made(self, task: Task) -> bytes:
        """What the engine makes of pictures. Raises KeyError, EngineLost or TaskRefused."""
        return (await self.engine.ask(task, self.open_picture))[1]

    async def next_touch(self, edit: Edit, screen: Screen, is_wanted: Callable[[], bool]) -> tuple[float, float] | None:
        """The place (x, y in 0…1) where a further hint is expected to help the picture most; None if it is no longer
        wanted, or cannot be found.

        Each step of the search costs about one touch and runs only while the engine has nothing else to do.
        """
        async with self._searching:
            try:
                while is_wanted():
                    await self.engine.wait_idle()
                    answer, _ = await self.engine.ask(self._task("next", edit, screen.visit), self.open_picture)
                    if answer.place is not None:
                        return answer.place
            except KeyError:  # which names the picture, maybe a visitor's own
                log.info("no place to touch next", extra={"facts": {"reason": "the picture is gone"}})
            except (EngineLost, TaskRefused) as error:
                log.info("no place to touch next", extra={"facts": {"reason": str(error)}})
        return None

    async def ask(self, edit: Edit) -> tuple[Answer, bytes]:
        """Answer an edit of staff, which is in no statistics. Raises KeyError, EngineLost or TaskRefused."""
        return await self.engine.ask(self._task("edit", edit, None), self.open_picture)

    async def _colours(self, edit: Edit, visit: Visit) -> bytes:
        """An edit's colours for a file. Asks once more where the engine was lost meanwhile."""
        task = self._task("ab", edit, visit)
        try:
            return (await self.engine.ask(task, self.open_picture))[1]
        except EngineLost:
            return (await self.engine.ask(task, self.open_picture))[1]

    async def mood(self, id: str, visit: Visit | None) -> bytes:
        """A small JPEG of a picture in its colours, made once. Raises KeyError, EngineLost or TaskRefused."""
        ref = self.picture(id, visit).ref
        if ref not in self._moods:
            made = await self._made(Task("mood", reference=ref))
            if self.picture(id, visit).ref != ref:  # replaced or wiped meanwhile
                raise KeyError(id)
            self._moods[ref] = made
        return self._moods[ref]

    # Visits

    async def take_in(self, length: str | None, body: AsyncIterable[bytes], visit: Visit) -> Picture:
        """Open an upload of a visit. Raises UploadRefused, and VisitOver where the visit ends meanwhile."""
        self._run_in_background(self.previews.stand_by())
        picture, replaced = await self.uploads.receive(length, body, visit)
        self.metrics.uploads.inc()
        for older in replaced:
            self._forget(older)
        return picture

    def end_visit(self, screen: Screen) -> None:
        """A screen's visitor is gone: so is what was brought, and what was asked for and is not done yet."""
        over, screen.visit = screen.visit, screen.visit.end()
        self.usage.end_visit(screen.number)
        for picture in self.uploads.wipe(over):
            self._forget(picture)

    # What is told

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
            # Where the page may answer touches itself: with this factor of the automatic colours.
            "vivid": self.settings.engine.vivid if screen.touches == "auto" else None,
            "language": self.languages[0],
            "languages": [language for language in visitors.languages if language in self.languages],
            "idle_s": visitors.idle_s,
            "warning_s": visitors.warning_s,
            "download": saving.download,
            "keep": bool(saving.folder),
            "takeaway": bool(self.settings.takeaway.host),
            "wall": bool(self.settings.wall.folder),
            "uploads": self.uploads.for_page(),
            "pictures": [picture.for_visitors() for picture in self.gallery.pictures.values()],
        }

    def settings_json(self) -> bytes:
        """`for_page` as JSON."""
        return msgspec.json.encode(self.for_page())

    @property
    def page_ready(self) -> bool:
        """Whether the page would get what it needs to start."""
        try:
            return bool(self.gallery.pictures) and bool(self.settings_json())
        except Exception as error:  # noqa: BLE001 - whatever the page could not be told makes it dark
            log.error("the page cannot be served", extra={"facts": {"reason": f"{type(error).__name__} {error}"}})
            return False

    @property
    def shown(self) -> str:
        """What the pages show; where they differ, that of somebody who is there."""
        shown = {screen.life.state for screen in self.screens.connected}
        return next((state for state in STATES if state in shown), NOT_SEEN)

    def status(self) -> dict[str, Any]:
        """For /readyz and the operator: no visitor data."""
        return {
            "healthy": self.healthy,
            "ready": self.engine.ready,
            "page_ready": self.page_ready,
            "open": self.open_now,
            "on_floor": self.on_floor,
            "page": self.shown,
            "screens": {screen.number: screen.life.state for screen in self.screens.connected},
            "uptime_s": round(self.page.uptime_s),
            "engine_pid": self.engine.worker_pid,
            "engine_spare": self.engine.spare_ready,
            "engine_faults": self.engine.faults,
            "last_engine_error": self.engine.last_error,
            "model": self.settings.engine.model,
            "hottest_c": self.thermal.hottest_c,
            "too_hot": self.thermal.hot,
            "pictures": len(self.gallery.pictures),
            "left_out": list(self.gallery.left_out),
        }


def _shown_languages(settings: Settings) -> tuple[str, ...]:
    """The languages that the page offers, the one of the start first: those that this machine has letters for.

    Where the browser may be on another machine, nothing is known of its fonts, and all are offered.
    """
    visitors = settings.visitors
    ordered = tuple(dict.fromkeys((visitors.language, *visitors.languages)))
    if settings.server.host not in LOOPBACK_NAMES:
        return ordered
    hidden = dict(missing_glyphs(ordered))
    for language, install in hidden.items():
        log.warning("language hidden", extra={"facts": {"language": language, "reason": f"no font; {install}"}})
    return tuple(language for language in ordered if language not in hidden) or ordered


def visitor_sentence(error: BaseException) -> str:
    """What a visitor may read of an error."""
    return error.visitor_sentence if isinstance(error, LivetintError) else LivetintError.visitor_sentence
