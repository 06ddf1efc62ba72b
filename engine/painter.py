"""A photograph with its features: from hints to ab, pictures and suggestions, for sessions and the kiosk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colour.cielab import project_into_gamut
from .colour.global_hints import GlobalHints
from .errors import HintRejected
from .first_colour import first_colour
from .hints import WORKING_PX, Hint, check_point, pixel_at
from .image.compose import apply_strength, check_method, check_strength, compose
from .image.layers import Layer, blend, coverage
from .image.photo import Photo
from .next_touch import NextTouchSearch, Place, next_touches
from .regions import FILL_POINTS, Region, filling, layer_distances, outline, working_distances
from .runners.base import NO_GLOBAL_HINTS, Features, Runner, check_hints, distribution_table
from .strokes import Mark, Stroke, points_of, region_of
from .suggest import DEFAULT_COUNT, Suggestions, suggest

Rgb = NDArray[np.uint8]
Picture = NDArray[np.uint8 | np.uint16]


class Painter:
    """One photograph, encoded once by a runner. It keeps ab of the last hints, so that further questions about the same
    hints cost no touch.

    Hints are points and strokes. The runner knows points alone, so a stroke becomes the points that carry it. Strokes
    of a region are asked for apart; their answer is a layer on the other hints' answer.

    photo: the Photo; its full-resolution L limits the gamut. runner: the Runner that answers. vivid: the factor of the
    automatic colours, of `Runner.with_vivid`. features: of the same photograph, runner and factor, if there are any.
    Raises as `Runner.encode`.
    """

    def __init__(self, photo: Photo, runner: Runner, vivid: float = 1.0, features: Features | None = None) -> None:
        self.photo = photo
        self.runner = runner
        self._vivid = vivid
        self._features = runner.encode(photo.working_L, vivid) if features is None else features
        self._last: tuple[tuple[Mark, ...], GlobalHints] | None = None
        self._lowest: NDArray[np.float32] | None = None
        self._layers: tuple[Layer, ...] = ()
        self._ab: NDArray[np.float32] | None = None
        self._automatic: tuple[GlobalHints, NDArray[np.float32]] | None = None
        # Where hints have regions: the runner's answers that ab was blended from, by their points.
        self._answered: tuple[GlobalHints, dict[tuple[Hint, ...], NDArray[np.float32]]] = NO_GLOBAL_HINTS, {}

    def beside(self) -> Painter:
        """Another painter of the same photograph: it shares the features, and keeps answers of its own."""
        return Painter(self.photo, self.runner, self._vivid, self._features)

    def use(self, runner: Runner) -> None:
        """Continue with another runner: it encodes the photograph, and the old runner's results are dropped."""
        self._features = runner.encode(self.photo.working_L, self._vivid)
        self.runner = runner
        self._forget_ab()

    @property
    def vivid(self) -> float:
        """The factor of the automatic colours; 1 is as trained."""
        return self._vivid

    def set_vivid(self, vivid: float) -> None:
        """Set the factor of the automatic colours. Raises HintRejected as `Runner.with_vivid`; nothing changes then."""
        if vivid != self.vivid:
            self._features = self.runner.with_vivid(self._features, vivid)
            self._vivid = vivid
            self._forget_ab()

    def _forget_ab(self) -> None:
        self._last = self._ab = self._automatic = None
        self._answered = NO_GLOBAL_HINTS, {}

    @property
    def encoder_features(self) -> NDArray[np.float32] | None:
        """The encoder's last tensor for this photograph, of `Runner.encoder_features`."""
        return self.runner.encoder_features(self._features)

    def check(self, hints: Sequence[Mark], global_hints: GlobalHints = NO_GLOBAL_HINTS) -> None:
        """Raise HintRejected for what the model does not take."""
        check_hints(self.runner.bundle, self.points(hints), global_hints)

    def points(self, hints: Sequence[Mark]) -> tuple[Hint, ...]:
        """The point hints that the runner is given, the colours of strokes in the gamut at each point.

        Raises HintRejected where there is not even one point for every line of every stroke.
        """
        points = [hint for hint in hints if isinstance(hint, Hint)]
        return tuple(points if len(points) == len(hints) else itertools.chain.from_iterable(self._points_of(hints)))

    def _points_of(self, hints: Sequence[Mark]) -> list[list[Hint]]:
        """The point hints of each hint."""
        return self._in_gamut(hints, points_of(hints, self.runner.bundle.manifest.input.max_hints))

    def _in_gamut(self, hints: Sequence[Mark], picked: list[list[Hint]]) -> list[list[Hint]]:
        """The points `picked` of each hint, with the colours of strokes projected into the gamut."""
        return [
            list(self.projected(points)) if isinstance(hint, Stroke) else points
            for hint, points in zip(hints, picked, strict=True)
        ]

    # Answers

    def ab(self, hints: Sequence[Mark] = (), global_hints: GlobalHints = NO_GLOBAL_HINTS) -> NDArray[np.float32]:
        """Colours at the working size: float32 [2, H, W] in CIELAB units, read-only."""
        if self._ab is None or not self.knows(hints, global_hints):
            lowest, self._layers = self._answers(hints, global_hints)
            ab = lowest
            for layer, region in zip(self._layers, _regions(hints), strict=True):
                ab = blend(ab, layer.ab, coverage(working_distances(region)))
            ab.setflags(write=False)
            self._ab, self._lowest, self._last = ab, lowest, (tuple(hints), global_hints)
            if not hints:
                self._automatic = global_hints, ab
        return self._ab

    def _automatic_ab(self, global_hints: GlobalHints) -> NDArray[np.float32]:
        """Colours without hints at `vivid` 1, float32 [2, H, W]; they cost a touch once for the same global hints."""
        if self._automatic is None or self._automatic[0] != global_hints:
            self._automatic = global_hints, self.runner.colorize(self._features, (), global_hints)
        return (self._automatic[1] / self.vivid).astype(np.float32)

    def knows(self, hints: Sequence[Mark] = (), global_hints: GlobalHints = NO_GLOBAL_HINTS) -> bool:
        """Whether `ab` was computed for these hints last, so that it costs no touch now."""
        return self._last == (tuple(hints), global_hints)

    def render(
        self,
        hints: Sequence[Mark] = (),
        global_hints: GlobalHints = NO_GLOBAL_HINTS,
        L: NDArray[np.float32] | None = None,
        method: str = "bilinear",
        strength: float = 1.0,
    ) -> Rgb:
        """The coloured photograph, sRGB uint8 [H, W, 3], at its own size or at that of `L` (float32 [H, W] in 0…100).

        method: one of `compose`. strength: factor of ab in 0…2, of `apply_strength`.
        """
        L = self.photo.L if L is None else L
        if _regions(hints):
            return self._render_layers(hints, global_hints, L, method, strength)
        ab = self._ab if self.knows(hints, global_hints) else None
        return self.runner.render(self._features, self.points(hints), global_hints, L, method, ab, strength)

    def _answers(
        self, hints: Sequence[Mark], global_hints: GlobalHints
    ) -> tuple[NDArray[np.float32], tuple[Layer, ...]]:
        """ab of the hints without a region, and a layer for each region, in the order of their first hints."""
        regions = _regions(hints)
        if not regions:
            self._answered = NO_GLOBAL_HINTS, {}
            return self.runner.colorize(self._features, self.points(hints), global_hints), ()
        max_hints = self.runner.bundle.manifest.input.max_hints
        picked = points_of(hints, max_hints)
        found = list(zip(map(region_of, hints), picked, self._in_gamut(hints, picked), strict=True))
        free = [point for region, _, points in found if region is None for point in points]
        known = self._answered[1] if self._answered[0] == global_hints else {}
        self._answered = global_hints, {}
        layers = []
        for region in regions:
            # Points of other hints that lie in the region are part of what it shows.
            shown = [
                point
                for of, _, points in found
                for point in points
                if of == region or (of is None and region.contains(point.x, point.y))
            ]
            # The picked colours fill it: one in the gamut at the L of its hint would be pale where L allows more.
            own = [point for of, points, _ in found if of == region for point in points]
            room = max_hints - len(shown) if max_hints else FILL_POINTS
            added = filling(region, own, min(FILL_POINTS, room))
            layers.append(Layer(self._answer(known, (*added, *shown)), layer_distances(region)))
        return self._answer(known, tuple(free)), tuple(layers)

    def _answer(
        self, known: dict[tuple[Hint, ...], NDArray[np.float32]], points: tuple[Hint, ...]
    ) -> NDArray[np.float32]:
        """ab for some points: that of `known`, the answers of the edit before, or else of the runner.

        An edit changes one of the answers as a rule, so that more regions do not make it slower.
        """
        global_hints, answers = self._answered
        if points not in answers:
            ab = known.get(points)
            answers[points] = self.runner.colorize(self._features, points, global_hints) if ab is None else ab
        return answers[points]

    def _render_layers(
        self,
        hints: Sequence[Mark],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str,
        strength: float,
        dtype: type[np.uint8] | type[np.uint16] = np.uint8,
    ) -> NDArray[Any]:
        """`render` on the CPU, with the layers of regions blended at full size."""
        check_method(method)
        lowest, layers = self.composed_of(hints, global_hints, strength)
        return compose(L, lowest, method=method, layers=layers, dtype=dtype)

    def composed_of(
        self, hints: Sequence[Mark], global_hints: GlobalHints = NO_GLOBAL_HINTS, strength: float = 1.0
    ) -> tuple[NDArray[np.float32], tuple[Layer, ...]]:
        """What `compose` makes the picture of: ab float32 [2, H, W] of the hints without a region, and a layer for each
        region. strength: of `apply_strength`."""
        check_strength(strength)
        self.ab(hints, global_hints)
        assert self._lowest is not None
        return apply_strength(self._lowest, strength), tuple(layer.scaled(strength) for layer in self._layers)

    def picture(
        self,
        hints: Sequence[Mark] = (),
        global_hints: GlobalHints = NO_GLOBAL_HINTS,
        method: str = "bilinear",
        strength: float = 1.0,
        depth: int = 8,
        transparent: bool = False,
    ) -> Picture:
        """The coloured photograph for a file, at its own size: sRGB [H, W, 3], uint8 or, with a depth of 16, uint16.

        transparent: with the photograph's alpha as a fourth channel, if it has one; otherwise transparent parts lie
        over mid-grey. method, strength: of `render`.
        """
        alpha = self.photo.alpha if transparent else None
        L = self.photo.L if alpha is None else self.photo.uncovered_lightness
        if depth == 8:
            rgb: Picture = self.render(hints, global_hints, L, method, strength)
        else:
            rgb = self._render_layers(hints, global_hints, L, method, strength, np.uint16)
        if alpha is None:
            return rgb
        scale = np.iinfo(rgb.dtype).max // 255
        return np.concatenate([rgb, (alpha * rgb.dtype.type(scale))[..., None]], axis=2, dtype=rgb.dtype)

    def suggest(
        self,
        x: float,
        y: float,
        hints: Sequence[Mark] = (),
        global_hints: GlobalHints = NO_GLOBAL_HINTS,
        count: int = DEFAULT_COUNT,
    ) -> Suggestions:
        """Likely colours at a point (x, y in 0…1), given the photograph and the hints.

        A hint on the point itself, or a stroke through it, is left out: its colour is the one to be changed, and the
        distribution with it has hardly any other. At most `count` swatches in the gamut at the point's L; besides them
        the current colour, grey, and the first colour of a tap. Raises HintRejected for a point outside the photograph,
        ModelFileError for a model without a distribution.
        """
        if count < 1:
            raise HintRejected(f"{count} suggestions make no sense; ask for at least one")
        table = distribution_table(self.runner.bundle)
        current = self.colour_at(x, y, hints, global_hints)
        point = np.array([[x, y]], np.float32)
        others = self.points([hint for hint in hints if not _is_at(hint, x, y)])
        probabilities = self.runner.distribution(self._features, others, global_hints, point)[0]
        found = suggest(probabilities, table.centres, self.lightness_at(x, y), current, count)
        likeliest = found.swatches[0].a, found.swatches[0].b
        return replace(found, first=self.first_colour(x, y, hints, global_hints, likeliest))

    def first_colour(
        self,
        x: float,
        y: float,
        hints: Sequence[Mark] = (),
        global_hints: GlobalHints = NO_GLOBAL_HINTS,
        likeliest: tuple[float, float] | None = None,
    ) -> tuple[float, float]:
        """The ab that a tap at (x, y in 0…1) gives first, of `engine.first_colour`. likeliest: ab of the likeliest
        suggestion there. Raises HintRejected for a point outside the photograph."""
        L, ab = self.lightness_at(x, y), self.ab(hints, global_hints)
        automatic = self._automatic_ab(global_hints)
        return first_colour(self.photo.working_L, ab, automatic, (x, y), L, likeliest)

    def next_touches(
        self, hints: Sequence[Mark] = (), global_hints: GlobalHints = NO_GLOBAL_HINTS, count: int = 1
    ) -> tuple[Place, ...]:
        """The `count` places where a hint is expected to reduce the error most, the best first."""
        points = self.points(hints)
        return next_touches(self.runner, self._features, self.photo.working_L, points, global_hints, count)

    def next_touch_search(
        self, hints: Sequence[Mark] = (), global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NextTouchSearch:
        """The search of `next_touches`, to be done step by step."""
        return NextTouchSearch(self.runner, self._features, self.photo.working_L, self.points(hints), global_hints)

    def influence(
        self, index: int, hints: Sequence[Mark], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """How much of the colour at each place comes from hint `index`, a point or a stroke: `Runner.influence`."""
        if not 0 <= index < len(hints):
            raise HintRejected(f"there is no hint {index}; there are {len(hints)}, counted from 0")
        found = self._points_of(hints)
        first = sum(map(len, found[:index]))
        indices = range(first, first + len(found[index]))
        points = tuple(itertools.chain.from_iterable(found))
        return self.runner.influence(self._features, points, indices, global_hints)

    def outline(self, index: int, hints: Sequence[Mark], global_hints: GlobalHints = NO_GLOBAL_HINTS) -> Region | None:
        """The region that the network thinks hint `index` belongs to: "this is what I would colour". See `outline`."""
        share = self.influence(index, hints, global_hints)
        return outline(share, self._points_of(hints)[index])

    # Colours at points

    def lightness_at(self, x: float, y: float) -> float:
        """L of the photograph's pixel at (x, y in 0…1). Raises HintRejected outside the photograph."""
        row, column = pixel_at(x, y, *self.photo.L.shape)
        return float(self.photo.L[row, column])

    def colour_at(
        self, x: float, y: float, hints: Sequence[Mark] = (), global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> tuple[float, float]:
        """The ab shown at (x, y in 0…1), in the gamut at the L there. Raises HintRejected outside the photograph."""
        check_point(x, y)
        ab = self.ab(hints, global_hints)
        row, column = pixel_at(x, y, *ab.shape[1:])
        a, b = (float(value) for value in ab[:, row, column])
        return self.showable(x, y, a, b)

    def showable(self, x: float, y: float, a: float, b: float) -> tuple[float, float]:
        """ab projected into the sRGB gamut at the L of the photograph's pixel at (x, y)."""
        ((a, b),) = self._projected([(x, y, a, b)])
        return a, b

    def projected(self, hints: Sequence[Hint]) -> tuple[Hint, ...]:
        """Hints that a person picked, with each colour projected into the gamut at the L under the hint."""
        if not hints:
            return ()
        colours = self._projected([(hint.x, hint.y, hint.a, hint.b) for hint in hints])
        return tuple(replace(hint, a=a, b=b) for hint, (a, b) in zip(hints, colours, strict=True))

    def picked(self, marks: Sequence[Mark]) -> tuple[Mark, ...]:
        """Marks that a person made: the colours of points are projected as by `projected`. Those of strokes are
        projected at each of their points, when they are asked for."""
        points = iter(self.projected([mark for mark in marks if isinstance(mark, Hint)]))
        return tuple(next(points) if isinstance(mark, Hint) else mark for mark in marks)

    def _projected(self, picks: Sequence[tuple[float, float, float, float]]) -> list[tuple[float, float]]:
        lab = project_into_gamut(np.array([(self.lightness_at(x, y), a, b) for x, y, a, b in picks], np.float64))
        return [(float(a), float(b)) for _, a, b in lab]


def _regions(hints: Sequence[Mark]) -> list[Region]:
    """The regions of hints, each once, in the order of their first hints."""
    return list(dict.fromkeys(region for hint in hints if (region := region_of(hint)) is not None))


def _is_at(hint: Mark, x: float, y: float) -> bool:
    """Whether a hint lies on a point, or a stroke passes through it, within half a working pixel."""
    if isinstance(hint, Stroke):
        return hint.passes(x, y, 0.5)
    return max(abs(hint.x - x), abs(hint.y - y)) <= 0.5 / WORKING_PX
