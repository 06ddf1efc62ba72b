"""What is timed: the stages of a touch, and the whole way from a touch to pixels, on a synthetic photograph."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ...engine.colour.global_hints import GlobalHints
from ...engine.hints import Hint, rasterise
from ...engine.image.compose import compose
from ...engine.image.photo import Photo
from ...engine.inputs import hint_tensors
from ...engine.match_hints import match_hints
from ...engine.runners.base import NO_GLOBAL_HINTS, Runner
from ...engine.runners.onnx import OnnxRunner

SIZES = {"1080p": (1920, 1080), "4k": (3840, 2160)}
SEED = 2017
# Number of different hint sets that a workload cycles through, so that no answer can come from a cache.
VARIANTS = 16


@dataclass(frozen=True)
class Workload:
    """A named stage and a function that runs it once. prepare: called before every run, and not timed.

    share: how often it is timed, as a share of the touches asked for, but at least `least` times (if so many touches
    are asked for). Slow workloads get fewer samples (see `schedule.py`); n says how many.
    """

    name: str
    run: Callable[[], Any]
    share: float = 1.0
    least: int = 1
    prepare: Callable[[], Any] = lambda: None


def scene(size: tuple[int, int] = SIZES["1080p"]) -> np.ndarray:
    """A synthetic photograph uint8 [H, W, 3]: smooth shapes with edges and a little grain, always the same."""
    rng = np.random.default_rng(SEED)
    small = rng.integers(0, 256, (9, 16, 3), np.uint8)
    smooth = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    patches = cv2.resize(rng.integers(0, 64, (18, 32, 3), np.uint8), size, interpolation=cv2.INTER_NEAREST)
    grain = rng.integers(0, 12, (size[1], size[0], 1), np.uint8)
    return np.clip(smooth.astype(np.int16) * 3 // 4 + patches + grain, 0, 255).astype(np.uint8)


def hint_sets(number: int, variants: int = VARIANTS) -> list[list[Hint]]:
    """Sets of `number` hints as in a drag: the last hint moves from set to set, the others stay."""
    rng = np.random.default_rng([SEED, number])
    places, colours = rng.random((number + variants, 2)), rng.uniform(-60, 60, (number + variants, 2))
    hints = [Hint(float(x), float(y), float(a), float(b)) for (x, y), (a, b) in zip(places, colours, strict=True)]
    if not number:
        return [[]] * variants
    return [[*hints[: number - 1], hints[number - 1 + i]] for i in range(variants)]


def touches(runner: Runner, numbers: tuple[int, ...]) -> list[Workload]:
    """touch_to_ab_N, the figure of merit: changed hints → ab, for every number of hints."""
    photo = Photo.from_rgb(scene())
    features = runner.encode(photo.working_L)
    return [Workload(f"touch_to_ab_{number}", _touch(runner, features, number)) for number in numbers]


def _touch(runner: Runner, features: Any, number: int) -> Callable[[], Any]:
    sets, turn = hint_sets(number), count()
    return lambda: runner.colorize(features, sets[next(turn) % VARIANTS])


def encoding(runner: Runner) -> Workload:
    """encode: the cost of opening a photograph that is decoded already."""
    L = Photo.from_rgb(scene()).working_L
    return Workload("encode", lambda: runner.encode(L), 0.125, 64)


def stages(runner: Runner, numbers: tuple[int, ...], sizes: Sequence[str] = ("1080p", "4k")) -> list[Workload]:
    """All other stages: opening, encoding, tensors of hints, distribution, composing, and touch to pixels.

    sizes: keys of SIZES that are composed; 1080p is always among them.
    """
    photographs = {name: Photo.from_rgb(scene(SIZES[name])) for name in sizes}
    first = photographs["1080p"]
    features = runner.encode(first.working_L)
    ab = runner.colorize(features, ())
    data = _jpeg(first.rgb)
    loads = [
        encoding(runner),
        Workload("open_1080p", lambda: runner.encode(Photo.from_bytes(data).working_L), 0.0625, 64),
    ]
    for name, photo in photographs.items():
        loads.append(Workload(f"compose_{name}", lambda photo=photo: compose(photo.L, ab), 0.0625, 64))
    for number in numbers:
        loads += _stages_of_touch(runner, features, number)
        touch = _touch(runner, features, number)
        for name, photo in photographs.items():
            whole = lambda photo=photo, touch=touch: compose(photo.L, touch())  # noqa: E731
            loads.append(Workload(f"touch_to_pixels_{name}_{number}", whole, 0.0625, 64))
    return loads


def _stages_of_touch(runner: Runner, features: Any, number: int) -> list[Workload]:
    sets, turn = hint_sets(number), count()
    staged = runner.bundle.manifest.input.kind == "hints"
    form = hint_tensors if staged else rasterise
    loads = [Workload(f"hints_to_input_{number}", lambda: form(sets[next(turn) % VARIANTS]), 1.0)]
    if staged and isinstance(runner, OnnxRunner):
        loads.append(_matching(runner, features, number))
    if runner.bundle.manifest.distribution:
        point = np.full((1, 2), 0.5, np.float32)
        none: GlobalHints = NO_GLOBAL_HINTS
        ask = lambda: runner.distribution(features, sets[next(turn) % VARIANTS], none, point)  # noqa: E731
        loads.append(Workload(f"distribution_{number}", ask, 0.25, 64))
    return loads


def _matching(runner: OnnxRunner, features: Any, number: int) -> Workload:
    """match_hints_N: what the CPU does to the network's ab after a touch. ab is in the CPU's cache, as it is when the
    network has just written it."""
    sets, turn = hint_sets(number), count()
    planes = [runner.network_ab(features, hints, NO_GLOBAL_HINTS) for hints in sets]
    ab, at = np.empty_like(planes[0]), 0

    def prepare() -> None:
        nonlocal at
        at = next(turn) % VARIANTS
        np.copyto(ab, planes[at])

    return Workload(f"match_hints_{number}", lambda: match_hints(ab, sets[at]), prepare=prepare)


def _jpeg(rgb: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=90)
    return stream.getvalue()
