"""The engine worker: a process of its own that owns the runner, so that its faults reach nobody.

`python -m livetint.kiosk.engine.service MODEL THREADS DEVICE DESCRIPTOR MEGAPIXELS` reads one task a
line from standard input and answers one line each on standard output; pixels go into the shared memory behind
DESCRIPTOR.
"""

from __future__ import annotations

import io
import mmap
import os
import sys
import time
from collections import OrderedDict
from pathlib import Path

import msgspec
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ...engine.colour.cielab import lab_to_srgb, project_into_gamut
from ...engine.colour.global_hints import GlobalHints, histogram_of, saturation_of
from ...engine.errors import DeviceLost, LivetintError, ModelFileError
from ...engine.hints import Hint
from ...engine.image.compose import compose, resize_lightness
from ...engine.image.photo import Photo
from ...engine.models import find_model
from ...engine.runners.base import NO_GLOBAL_HINTS, Features, Runner, check_hints
from ...engine.suggest import suggest
from ..messages import SHARED_BYTES, Answer, Colours, Edit, Task
from .runner_owner import RunnerOwner

SWATCHES = 5
KEPT_PHOTOS = 3
# mood: (gain of chroma, shift of a, shift of b) applied to the automatic colours, whose histogram then asks.
MOODS = {"sunlit": (1.1, 5.0, 14.0), "cool": (1.0, -4.0, -14.0), "rich": (1.7, 0.0, 0.0), "faded": (0.45, 1.0, 4.0)}
_PULSE = np.tile(np.linspace(5, 95, 256, dtype=np.float32), (256, 1))


class Easel:
    """One photograph with what the encoder made of it; `shown` keeps L at the size JPEGs are sent in."""

    def __init__(self, path: str, runner: Runner, max_megapixels: float) -> None:
        self.photo = Photo.open(path, max_megapixels)
        self.features: Features = runner.encode(self.photo.working_L)
        self.automatic = runner.colorize(self.features, ())
        self.shown: tuple[int, NDArray[np.float32]] | None = None

    def lightness_at(self, x: float, y: float) -> float:
        """L of the pixel at (x, y in 0…1)."""
        height, width = self.photo.L.shape
        return float(self.photo.L[min(int(y * height), height - 1), min(int(x * width), width - 1)])

    def at_width(self, width: int) -> NDArray[np.float32]:
        """L brought to at most `width` pixels across."""
        if self.shown is None or self.shown[0] != width:
            self.shown = width, resize_lightness(self.photo.L, fitted(self.photo.size, width))
        return self.shown[1]


class Studio:
    """Answers tasks. Photographs are encoded once; the last few are kept."""

    def __init__(self, runner: Runner, max_megapixels: float) -> None:
        self.runner = runner
        self.max_megapixels = max_megapixels
        self._easels: OrderedDict[str, Easel] = OrderedDict()
        self._moods: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._pulse = runner.encode(_PULSE)

    def use(self, runner: Runner) -> None:
        """Go on with another runner of the same model; the photographs that are kept are encoded again."""
        self.runner = runner
        self._pulse = runner.encode(_PULSE)
        for easel in self._easels.values():
            easel.features = runner.encode(easel.photo.working_L)

    def do(self, task: Task) -> tuple[Answer, bytes]:
        """One task → answer and pixels. Raises LivetintError for what cannot be."""
        return getattr(self, f"_do_{task.op}")(task)

    def _do_pulse(self, task: Task) -> tuple[Answer, bytes]:
        self.runner.colorize(self._pulse, (Hint(0.5, 0.5, 40, 30),))
        return Answer(), b""

    def _do_picture(self, task: Task) -> tuple[Answer, bytes]:
        # A thumbnail needs no encoding, and must not push out the pictures that visitors paint on.
        known = self._easels.get(_key_of(task.path))
        L = (known.photo if known else Photo.open(task.path, self.max_megapixels)).L
        L = resize_lightness(L, fitted((L.shape[1], L.shape[0]), task.width))
        grey = np.zeros((*L.shape, 3), np.float32)
        grey[..., 0] = L
        pixels = np.rint(lab_to_srgb(grey)[..., 1:2] * 255).astype(np.uint8)
        return Answer(), simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=95, colorspace="GRAY")

    def _do_edit(self, task: Task) -> tuple[Answer, bytes]:
        edit = _edit_of(task)
        timings = {}
        started = time.perf_counter()
        easel = self._easel(task.path)
        timings["encode_ms"] = _since(started)
        started = time.perf_counter()
        hints, asked = self._hints(easel, edit), self._global_hints(easel, edit, task.reference_path)
        ab = self.runner.colorize(easel.features, hints, asked)
        timings["touch_ms"] = _since(started)
        colours = None
        if edit.point is not None:
            started = time.perf_counter()
            colours = self._colours(easel, hints, asked, ab, edit.point)
            timings["suggest_ms"] = _since(started)
        started = time.perf_counter()
        pixels = _planes(ab) if edit.want == "planes" else _jpeg(easel.at_width(edit.width), ab, task.upsampling)
        timings["pack_ms"] = _since(started)
        return Answer(timings=timings, colours=colours), pixels

    def _do_ab(self, task: Task) -> tuple[Answer, bytes]:
        edit = _edit_of(task)
        easel = self._easel(task.path)
        asked = self._global_hints(easel, edit, task.reference_path)
        file = io.BytesIO()
        np.save(file, self.runner.colorize(easel.features, self._hints(easel, edit), asked), allow_pickle=False)
        return Answer(), file.getvalue()

    def _do_forget(self, task: Task) -> tuple[Answer, bytes]:
        for key in [key for key in self._easels if key.partition("|")[0] == task.path]:
            del self._easels[key]
        self._moods.pop(task.path, None)
        return Answer(), b""

    def _easel(self, path: str) -> Easel:
        key = _key_of(path)
        if key not in self._easels:
            self._easels[key] = Easel(path, self.runner, self.max_megapixels)
            while len(self._easels) > KEPT_PHOTOS:
                self._easels.popitem(last=False)
        self._easels.move_to_end(key)
        return self._easels[key]

    def _hints(self, easel: Easel, edit: Edit) -> tuple[Hint, ...]:
        """The visitor's hints, each colour projected into the gamut at the L under it."""
        if not edit.hints:
            return ()
        lab = np.array([(easel.lightness_at(h.x, h.y), h.a, h.b) for h in edit.hints])
        showable = project_into_gamut(lab)
        hints = tuple(
            Hint(h.x, h.y, float(a), float(b), h.size) for h, (_, a, b) in zip(edit.hints, showable, strict=True)
        )
        check_hints(self.runner.bundle, hints, NO_GLOBAL_HINTS)
        return hints

    def _global_hints(self, easel: Easel, edit: Edit, reference_path: str) -> GlobalHints:
        if not self.runner.bundle.manifest.input.takes_global:
            return NO_GLOBAL_HINTS
        histogram = None
        saturation = edit.saturation
        if reference_path:
            histogram = self._reference_histogram(reference_path)
        elif edit.mood != "none":
            gain, shift_a, shift_b = MOODS[edit.mood]
            shift = np.array([shift_a, shift_b], np.float32)[:, None, None]
            wanted = easel.automatic * np.float32(gain) + shift
            histogram = histogram_of(wanted)
            if saturation is None and gain != 1.0:
                lab = np.concatenate([easel.photo.working_L[None], wanted]).transpose(1, 2, 0)
                saturation = saturation_of(lab_to_srgb(lab))
        return GlobalHints(histogram, saturation)

    def _reference_histogram(self, path: str) -> NDArray[np.float32]:
        """The histogram of another picture: its own colours, or those thought likely for it where it is grey."""
        if path not in self._moods:
            easel = self._easel(path)
            own = easel.photo.working_ab()
            is_grey = float(np.abs(own - own.mean((1, 2), keepdims=True)).mean()) < 4
            self._moods[path] = histogram_of(easel.automatic if is_grey else own)
            while len(self._moods) > 64:
                self._moods.popitem(last=False)
        return self._moods[path]

    def _colours(
        self,
        easel: Easel,
        hints: tuple[Hint, ...],
        asked: GlobalHints,
        ab: NDArray[np.float32],
        point: tuple[float, float],
    ) -> Colours | None:
        table = self.runner.bundle.manifest.distribution
        x, y = point
        L = easel.lightness_at(x, y)
        rows, columns = ab.shape[1:]
        current = ab[:, min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)]
        shown = project_into_gamut(np.array([L, *current], np.float64))
        if table is None:
            return Colours(L, [], (float(shown[1]), float(shown[2])))
        probabilities = self.runner.distribution(easel.features, hints, asked, np.array([point], np.float32))[0]
        found = suggest(probabilities, table.centres, L, (float(shown[1]), float(shown[2])), SWATCHES)
        return Colours(L, [(s.a, s.b, s.confidence) for s in found.swatches], found.current)


def _key_of(path: str) -> str:
    """A picture's path and age: staff may replace a picture while the kiosk runs."""
    return f"{path}|{Path(path).stat().st_mtime_ns}" if Path(path).exists() else path


def fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    """`size` (width, height) shrunk so that its longer side is at most `width` pixels."""
    scale = min(1.0, width / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _edit_of(task: Task) -> Edit:
    if task.edit is None:
        raise ModelFileError("an edit came without its hints; send the whole edit")
    return task.edit


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _planes(ab: NDArray[np.float32]) -> bytes:
    """ab [2, H, W] → half floats [H, W, 2]."""
    return ab.transpose(1, 2, 0).astype(np.float16).tobytes()


def _jpeg(L: NDArray[np.float32], ab: NDArray[np.float32], upsampling: str) -> bytes:
    return simplejpeg.encode_jpeg(compose(L, ab, method=upsampling), quality=90, colorsubsampling="444")


def serve(model: str, threads: int, device: str, spin: bool, descriptor: int, max_megapixels: float) -> None:
    """Answer tasks until standard input ends. A lost GPU ends the process at once, with exit code 70."""
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    decoder, encoder = msgspec.json.Decoder(Task), msgspec.json.Encoder()
    shared = mmap.mmap(descriptor, SHARED_BYTES)
    owner = RunnerOwner(find_model(model), device, threads or None, _say, spin)
    studio = Studio(owner.runner, max_megapixels)
    studio.do(Task("pulse"))
    answers.write(encoder.encode(Answer()) + b"\n")
    for line in sys.stdin.buffer:
        try:
            if owner.improved():
                studio.use(owner.runner)
            answer, pixels = studio.do(decoder.decode(line))
            if len(pixels) > SHARED_BYTES:
                raise ModelFileError(f"a reply of {len(pixels)} bytes exceeds {SHARED_BYTES}; use smaller pictures")
            shared[: len(pixels)] = pixels
            answer = msgspec.structs.replace(answer, length=len(pixels))
        except DeviceLost as error:
            _say(str(error))
            os._exit(error.exit_code)  # nothing of a lost GPU can be tidied up, and trying may hang
        except LivetintError as error:
            answer = Answer(ok=False, error=str(error), sentence=error.visitor_sentence)
        answers.write(encoder.encode(answer) + b"\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Exit code 2 with one line on standard error when the model cannot be used; 0 at the end of input."""
    model, threads, device, spin, descriptor, max_megapixels = arguments
    try:
        serve(model, int(threads), device, spin == "True", int(descriptor), float(max_megapixels))
    except LivetintError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
