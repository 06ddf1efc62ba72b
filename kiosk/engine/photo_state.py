"""A photograph that is open in the engine process, with what is worth keeping between its touches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ...engine.colour.cielab import lab_to_srgb
from ...engine.colour.global_hints import GlobalHints, histogram_of, saturation_of
from ...engine.hints import Line
from ...engine.image.compose import compose, fitted, resize_lightness
from ...engine.image.photo import Photo
from ...engine.next_touch import NextTouchSearch, Place
from ...engine.painter import Painter
from ...engine.regions import border
from ...engine.runners.base import Features, Runner
from ...engine.strokes import Mark, region_of

# mood: (gain of chroma, shift of a, shift of b) of the automatic colours, whose histogram is asked for then.
MOODS = {"sunlit": (1.1, 5.0, 14.0), "cool": (1.0, -4.0, -14.0), "rich": (1.7, 0.0, 0.0), "faded": (0.45, 1.0, 4.0)}
# Mean distance of ab from its mean, in CIELAB units, below which a picture counts as grey.
MIN_COLOUR_AB = 4.0
# Of the coordinates of an outline: finer than a hundredth of a working pixel is of no use.
DIGITS = 4
# Longer side in pixels of the small coloured copy that stands for a picture's mood, and its quality.
MOOD_PX, MOOD_QUALITY = 320, 90
# Screens of so many sizes share a photograph without making L anew for each answer.
MAX_WIDTHS = 3


class PhotoState(Painter):
    """A Painter that also keeps L at the widths JPEGs are sent in, what moods ask for, and a search for a next hint.

    Screens paint with a painter of their own each, made by `beside`.
    """

    def __init__(self, photo: Photo, runner: Runner, vivid: float = 1.0) -> None:
        super().__init__(photo, runner, vivid)
        # By width, the least recently used first.
        self._shown: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._moods: dict[str, GlobalHints] = {}
        self._search: tuple[tuple[tuple[Mark, ...], GlobalHints], NextTouchSearch] | None = None

    def use(self, runner: Runner) -> None:
        """Go on with another runner, as `Painter.use`."""
        super().use(runner)
        self._moods.clear()
        self._search = None

    def lightness_of_width(self, width: int) -> NDArray[np.float32]:
        """L float32 [H, W] in 0…100, shrunk to at most `width` pixels along its longer side; the same array as long
        as no more than MAX_WIDTHS are asked for in turns."""
        if width not in self._shown:
            self._shown[width] = resize_lightness(self.photo.L, fitted(self.photo.size, width))
            if len(self._shown) > MAX_WIDTHS:
                self._shown.popitem(last=False)
        self._shown.move_to_end(width)
        return self._shown[width]

    def border(self, index: int, hints: Sequence[Mark], global_hints: GlobalHints) -> tuple[Line, ...]:
        """Where hint `index` colours, as polygons with few digits: the border of its region, or without one the outline
        that the network gives. Raises HintRejected where there is no such hint."""
        region = region_of(hints[index]) if index < len(hints) else None
        if region is None:
            found = self.outline(index, hints, global_hints)
            polygons = found.polygons if found else ()
        else:
            polygons = border(region)
        return tuple(tuple((round(x, DIGITS), round(y, DIGITS)) for x, y in line) for line in polygons)

    def next_touch(self, hints: tuple[Mark, ...], global_hints: GlobalHints) -> Place | None:
        """One step of the search for the best place of a further hint, of about one touch. None until it is finished;
        ask with the same hints again to go on. Raises as `next_touches`."""
        asked = hints, global_hints
        if self._search is None or self._search[0] != asked:
            self._search = asked, self.next_touch_search(*asked)
        search, self._search = self._search[1], None  # a step that fails ends the search
        finished = search.step()
        self._search = asked, search
        return search.places()[0] if finished else None

    def mood(self, name: str) -> GlobalHints:
        """What a mood of MOODS asks for: the automatic colours of this photograph, more or less of them, shifted.

        It is asked of the network, whose answer is multiplied by `vivid`, so it is made of the colours before that.
        """
        if name not in self._moods:
            gain, *shift = MOODS[name]
            ab = self.ab() * np.float32(gain / self.vivid) + np.array(shift, np.float32)[:, None, None]
            saturation = None
            if gain != 1.0:
                lab = np.concatenate([self.photo.working_L[None], ab]).transpose(1, 2, 0)
                saturation = saturation_of(lab_to_srgb(lab))
            self._moods[name] = GlobalHints(histogram_of(ab), saturation)
        return self._moods[name]


def reference_ab(photo: Photo, runner: Runner, features: Features | None = None) -> tuple[NDArray[np.float32], bool]:
    """A picture's own colours, ab float32 [2, h, w], or where it is grey those thought likely for it; whether it is.

    features: of the photograph and the runner, if there are any.
    """
    ab = photo.working_ab()
    if float(np.abs(ab - ab.mean((1, 2), keepdims=True)).mean()) < MIN_COLOUR_AB:
        return Painter(photo, runner, features=features).ab(), True
    return ab, False


def mood_jpeg(photo: Photo, ab: NDArray[np.float32]) -> bytes:
    """A small JPEG of a picture with the colours `ab` float32 [2, h, w], the colours as fine as its lightness."""
    L = resize_lightness(photo.L, fitted(photo.size, MOOD_PX))
    return simplejpeg.encode_jpeg(compose(L, ab), quality=MOOD_QUALITY, colorsubsampling="444")
