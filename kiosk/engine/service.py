"""The engine process: it owns the runner, so that its faults reach nobody.

`python -m livetint.kiosk.engine.service MODEL THREADS DEVICE SPIN MEMORY CHANNEL MEGAPIXELS VIVID SCREENS` answers the
tasks that come through the socket whose descriptor is CHANNEL; pixels go into the shared memory behind the descriptor
MEMORY.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import select
import signal
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NoReturn, TypeVar

import msgspec
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ...engine.colour.global_hints import GlobalHints, histogram_of
from ...engine.edits import HintRecord, mark_of
from ...engine.errors import DeviceLost, HintRejected, ImageRejected, LivetintError, RunnerError
from ...engine.hints import Hint
from ...engine.image.photo import Photo
from ...engine.models import find_model
from ...engine.painter import Painter
from ...engine.runners.base import NO_GLOBAL_HINTS, Runner, takes_vivid
from ...engine.strokes import Mark, region_of
from ..colours import pack_colours
from ..messages import MAX_REGIONS, MAX_WIDTH_PX, SHARED_BYTES, Answer, Colours, Edit, Outline, PictureRef, Task
from ..settings import MAX_UPLOAD_MEGAPIXELS
from ..site.features import pack_histogram
from .channel import EngineEnd
from .page_files import PageFiles
from .photo_state import PhotoState, mood_jpeg, reference_ab
from .runner_owner import RunnerOwner

SWATCHES = 5
# Photographs that are kept beside the present one of each screen.
MORE_PHOTOS = 2
MAX_HISTOGRAMS = 32
JPEG_QUALITY = 90
_PULSE = np.tile(np.linspace(5, 95, 256, dtype=np.float32), (256, 1))

T = TypeVar("T")
# Open descriptors of pictures; whoever calls the service closes them.
Descriptors = Mapping[PictureRef, int]


class PictureChanged(ImageRejected):
    """The file of a picture is not the version that was asked for."""

    visitor_sentence = "This picture is no longer on show."


class EngineService:
    """Answers tasks. Photographs are encoded once for all screens. Kept are the last one of each screen, so that the
    attract loops of others never push out what a visitor paints, and the last MORE_PHOTOS others.

    runner: the Runner that answers. max_megapixels: larger photographs of the gallery are refused. vivid: factor of the
    automatic colours; models that take only 1 get that.
    """

    def __init__(self, runner: Runner, max_megapixels: float, vivid: float = 1.0, screens: int = 1) -> None:
        self.runner = runner
        self._max_photos = screens + MORE_PHOTOS
        self._vivid = vivid if takes_vivid(runner.bundle) else 1.0
        self.max_megapixels = max_megapixels
        # The least recently used first.
        self._photos: OrderedDict[PictureRef, PhotoState] = OrderedDict()
        # Screen → its present picture, with the answers to its last hints.
        self._painters: dict[int, tuple[PictureRef, Painter]] = {}
        self._histograms: OrderedDict[PictureRef, NDArray[np.float32]] = OrderedDict()
        self._pulse = runner.encode(_PULSE)
        self._page_files = PageFiles(runner.bundle)

    @property
    def held(self) -> list[PictureRef]:
        """The photographs that are open."""
        return list(self._photos)

    @property
    def histograms(self) -> list[PictureRef]:
        """The references whose histogram is known."""
        return list(self._histograms)

    def use(self, runner: Runner) -> None:
        """Go on with another runner of the same model; the photographs that are held are encoded again."""
        self.runner, self._pulse = runner, runner.encode(_PULSE)
        self._painters.clear()
        for photo in self._photos.values():
            photo.use(runner)

    def do(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        """One task → answer and pixels. descriptors: of the pictures that are needed and not held.

        Raises LivetintError for what cannot be done.
        """
        return getattr(self, f"_do_{task.op}")(task, descriptors)

    def _do_pulse(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        self.runner.colorize(self._pulse, (Hint(0.5, 0.5, 40, 30),))
        return Answer(inferred=True), b""

    def _do_edit(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        edit, timings = _needed(task.edit), {}
        started = time.perf_counter()
        photo = self._open(_needed(task.picture), descriptors)
        painter = self._painter(task.screen, _needed(task.picture))
        started = _note(timings, "encode_ms", started)
        hints = _marks_of(painter, edit)
        asked = self._global_hints(photo, edit, task.reference, descriptors)
        known = painter.knows(hints, asked)
        if edit.point:
            painter.ab(hints, asked)  # kept for the picture and for the suggestions
        if edit.want == "planes":
            pack = partial(_planes, painter.ab(hints, asked))
        else:
            L = photo.lightness_of_width(edit.width)
            pack = partial(_jpeg, painter.render(hints, asked, L, task.upsampling, edit.strength))
        started = _note(timings, "touch_ms", started)
        colours = None
        if edit.point:
            colours = self._colours(painter, hints, asked, edit.point)
            started = _note(timings, "suggest_ms", started)
        outline = None
        if edit.outline is not None:
            outline = Outline(edit.outline, photo.border(edit.outline, hints, asked))
            started = _note(timings, "outline_ms", started)
        pixels = pack()
        _note(timings, "pack_ms", started)
        return Answer(timings=timings, colours=colours, outline=outline, inferred=not known), pixels

    def _do_next(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        """One step of a search, so that an edit that comes meanwhile waits for no more than that."""
        edit = _needed(task.edit)
        photo = self._open(_needed(task.picture), descriptors)
        asked = self._global_hints(photo, edit, task.reference, descriptors)
        place = photo.next_touch(_marks_of(photo, edit), asked)
        return Answer(inferred=True, place=(place.x, place.y) if place else None), b""

    def _do_ab(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        edit = _needed(task.edit)
        photo = self._open(_needed(task.picture), descriptors)
        asked = self._global_hints(photo, edit, task.reference, descriptors)
        return Answer(), pack_colours(*photo.composed_of(_marks_of(photo, edit), asked, edit.strength))

    def _do_mood(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        """A small JPEG of a reference in its colours, grey ones in the colours that are thought likely."""
        reference = _needed(task.reference)
        photo = self._photo_of(reference, descriptors)
        ab, automatic = reference_ab(photo, self.runner)
        self._keep_histogram(reference, histogram_of(ab))
        return Answer(inferred=automatic), mood_jpeg(photo, ab * np.float32(self._vivid if automatic else 1.0))

    def _do_heads(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        return Answer(), self._page_files.heads()

    def _do_features(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        picture = _needed(task.picture)
        L, features = self._photo_of(picture, descriptors).working_L, None
        if picture in self._photos:
            features = self._photos[picture].encoder_features
        elif self.runner.gives_encoder_features:  # not kept: a page that paints by itself opens no photograph here
            features = self.runner.encoder_features(self.runner.encode(L))
        return Answer(), self._page_files.features(L, features)

    def _do_histogram(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        histogram = self._histogram(_needed(task.reference), descriptors)
        return Answer(), pack_histogram(histogram, self.runner.bundle)

    def _do_forget(self, task: Task, descriptors: Descriptors) -> tuple[Answer, bytes]:
        picture = _needed(task.picture)
        self._photos.pop(picture, None)
        self._histograms.pop(picture, None)
        for screen in [screen for screen, (present, _) in self._painters.items() if present == picture]:
            del self._painters[screen]
        return Answer(), b""

    def _open(self, picture: PictureRef, descriptors: Descriptors) -> PhotoState:
        if picture not in self._photos:
            photo = self._photo_of(picture, descriptors).shrunk(MAX_WIDTH_PX)
            self._photos[picture] = PhotoState(photo, self.runner, self._vivid)
            self._make_room(picture)
        self._photos.move_to_end(picture)
        return self._photos[picture]

    def _make_room(self, newest: PictureRef) -> None:
        kept = {newest, *(present for present, _ in self._painters.values())}
        others = [picture for picture in self._photos if picture not in kept]
        for picture in others[: max(0, len(self._photos) - self._max_photos)]:
            del self._photos[picture]

    def _painter(self, screen: int, picture: PictureRef) -> Painter:
        """The painter of a screen for an open picture. Screens with the same picture share its features."""
        present, painter = self._painters.get(screen, (None, None))
        if painter is None or present != picture:
            painter = self._photos[picture].beside()
            self._painters[screen] = picture, painter
        return painter

    def _photo_of(self, picture: PictureRef, descriptors: Descriptors) -> Photo:
        """A picture's Photo: that of the open one, else read from its descriptor and not kept."""
        if picture in self._photos:
            return self._photos[picture].photo
        if picture not in descriptors:
            raise RunnerError("a picture came without its descriptor; send the task again")
        data = _read(descriptors[picture])
        if picture.sha256 and hashlib.sha256(data).hexdigest() != picture.sha256:
            raise PictureChanged("the picture's file was replaced meanwhile; load the gallery again")
        # An upload was measured as it came in.
        return Photo.from_bytes(data, self.max_megapixels if picture.sha256 else MAX_UPLOAD_MEGAPIXELS)

    def _global_hints(
        self, photo: PhotoState, edit: Edit, reference: PictureRef | None, descriptors: Descriptors
    ) -> GlobalHints:
        if not self.runner.bundle.manifest.input.takes_global:
            return NO_GLOBAL_HINTS
        asked = NO_GLOBAL_HINTS
        if reference is not None:
            asked = GlobalHints(self._histogram(reference, descriptors))
        elif edit.mood != "none":
            asked = photo.mood(edit.mood)
        return asked if edit.saturation is None else replace(asked, saturation=edit.saturation)

    def _histogram(self, reference: PictureRef, descriptors: Descriptors) -> NDArray[np.float32]:
        # A reference is not held as a photograph: it must not push out the pictures that visitors paint on.
        if reference not in self._histograms:
            ab, _ = reference_ab(self._photo_of(reference, descriptors), self.runner)
            self._keep_histogram(reference, histogram_of(ab))
        self._histograms.move_to_end(reference)
        return self._histograms[reference]

    def _keep_histogram(self, reference: PictureRef, histogram: NDArray[np.float32]) -> None:
        self._histograms[reference] = histogram
        while len(self._histograms) > MAX_HISTOGRAMS:
            self._histograms.popitem(last=False)

    def _colours(
        self, painter: Painter, hints: tuple[Mark, ...], asked: GlobalHints, point: tuple[float, float]
    ) -> Colours:
        if self.runner.bundle.manifest.distribution is None:
            L, first = painter.lightness_at(*point), painter.first_colour(*point, hints, asked)
            return Colours(L, [], painter.colour_at(*point, hints, asked), first)
        found = painter.suggest(*point, hints, asked, SWATCHES)
        swatches = [(s.a, s.b, s.confidence) for s in found.swatches]
        return Colours(found.L, swatches, found.current, found.first or found.current)


def _needed(value: T | None) -> T:
    """A part that a task must have."""
    if value is None:
        raise RunnerError("a task came without its picture or its edit; send it whole")
    return value


def _marks_of(painter: Painter, edit: Edit) -> tuple[Mark, ...]:
    """The points and strokes of an edit. Raises HintRejected, ConfigError as `mark_of`, and for too many regions."""
    marks = painter.picked(
        [mark_of(h) if isinstance(h, HintRecord) else Hint(h.x, h.y, h.a, h.b, h.size) for h in edit.hints]
    )
    regions = {region for mark in marks if (region := region_of(mark))}
    if len(regions) > MAX_REGIONS:
        raise HintRejected(f"there are {len(regions)} regions; at most {MAX_REGIONS} are possible")
    return marks


def _read(descriptor: int) -> bytes:
    """All bytes of a file, by position: a descriptor shares its offset with its copies. Raises ImageRejected."""
    pieces, at = [], 0
    try:
        size = os.fstat(descriptor).st_size
        while at < size and (piece := os.pread(descriptor, size - at, at)):
            pieces.append(piece)
            at += len(piece)
    except OSError as error:
        raise ImageRejected(f"the picture cannot be read: {error.strerror}; look at its disk") from error
    return b"".join(pieces)


def _note(timings: dict[str, float], stage: str, started: float) -> float:
    """Write down the milliseconds since `started`; returns the time now."""
    now = time.perf_counter()
    timings[stage] = round((now - started) * 1000, 2)
    return now


def _planes(ab: NDArray[np.float32]) -> bytes:
    """ab [2, H, W] → half floats [H, W, 2]."""
    return ab.transpose(1, 2, 0).astype(np.float16).tobytes()


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """sRGB [H, W, 3] as JPEG, its colours as fine as its lightness."""
    return simplejpeg.encode_jpeg(rgb, quality=JPEG_QUALITY, colorsubsampling="444")


# The process


def serve(channel: EngineEnd, service: EngineService, owner: RunnerOwner, shared: mmap.mmap) -> None:
    """Answer tasks until the server is gone. Raises DeviceLost, and what a new runner raises that cannot take over."""
    while (received := channel.receive()) is not None:
        task, descriptors = received
        try:
            if owner.improved():
                service.use(owner.runner)
            answer = _answer(service, task, dict(zip(task.descriptors, descriptors, strict=True)), shared)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        channel.send(msgspec.structs.replace(answer, held=service.held, histograms=service.histograms))


def _answer(service: EngineService, task: Task, descriptors: Descriptors, shared: mmap.mmap) -> Answer:
    try:
        answer, pixels = service.do(task, descriptors)
        if len(pixels) > SHARED_BYTES:
            raise RunnerError(f"a reply of {len(pixels)} bytes exceeds {SHARED_BYTES}; use smaller pictures")
    except DeviceLost:
        raise
    except LivetintError as error:
        return _refusal(error)
    shared[: len(pixels)] = pixels
    return msgspec.structs.replace(answer, length=len(pixels))


def _refusal(error: LivetintError) -> Answer:
    return Answer(ok=False, error=str(error), sentence=error.visitor_sentence)


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _end_with(channel: EngineEnd) -> None:
    """End this process, and all that it started, when the server closes the channel or dies; also in a long task."""

    def watch() -> None:
        poll = select.poll()
        poll.register(channel.socket, 0)  # hang-ups are always told
        poll.poll()
        _end_group()

    threading.Thread(target=watch, name="livetint-watch", daemon=True).start()


def _end_group() -> NoReturn:
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def main(arguments: list[str]) -> int:
    """The error's exit code, and one line on standard error, when the model cannot be used or a runner fails for good.

    The server is told why a start failed. A lost GPU ends the process at once, with exit code 70.
    """
    model, threads, device, spin, memory, descriptor, max_megapixels, vivid, screens = arguments
    os.dup2(2, 1)  # standard output is the server's own
    channel = EngineEnd(int(descriptor))
    _end_with(channel)
    started = False
    try:
        shared = mmap.mmap(int(memory), SHARED_BYTES)
        owner = RunnerOwner(find_model(model), device, int(threads) or None, _log, spin == "True")
        service = EngineService(owner.runner, float(max_megapixels), float(vivid), int(screens))
        service.do(Task("pulse"), {})
        channel.send(Answer())
        started = True
        serve(channel, service, owner, shared)
    except LivetintError as error:
        _log(str(error))
        if not started:
            channel.send(_refusal(error))
        if isinstance(error, DeviceLost):
            os._exit(error.exit_code)  # nothing of a lost GPU can be tidied up, and trying may hang
        return error.exit_code
    _end_group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
