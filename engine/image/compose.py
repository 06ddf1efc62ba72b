"""ab at the working size and L at full size → an sRGB picture: the last step before screen and file.

Colours stay in floating point until the final rounding. An 8-bit Lab picture in between, as in the paper's released
code, would lose about one level. The picture is composed in stripes of rows, so that one of 64 megapixels needs little
memory beyond its L and the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, HintRejected
from .guided import Guided, Plane
from .layers import Layer, Rows, layered
from .rows import stripes, two_cells

# A stripe of about this many pixels stays in the second-level cache of a core through all steps.
STRIPE_PIXELS = 1 << 17

# A wide photograph with longer rows is composed transposed, since a stripe has at least one row.
MAX_ROW_PX = 1 << 15

# Strength of colour: 0 is grey, 1 leaves ab as it is.
MAX_STRENGTH = 2.0


def compose(
    L: NDArray[np.float32],
    ab: NDArray[np.float32],
    size: tuple[int, int] | None = None,
    method: str = "bilinear",
    layers: Sequence[Layer] = (),
    dtype: type[np.uint8] | type[np.uint16] = np.uint8,
) -> NDArray[Any]:
    """sRGB [H, W, 3], over the whole range of `dtype`, from lightness `L` float32 [H, W] in 0..100 and colours `ab`
    float32 [2, h, w].

    `ab` (CIELAB units, any h and w) is enlarged to the size of L by `method`; the picture is clipped into the sRGB
    gamut (linear-light channels into 0..1) and rounded. With `size` (width, height) the result has that size instead; a
    caller that composes often should keep `resize_lightness(L, size)`. Methods: "bilinear", with pixel centres aligned;
    "guided", edge-aware (guided.py), three to four times slower. The GPU and the kiosk's shader have both. Layers lie
    on `ab`, later ones on top; they are blended at full size. Raises ConfigError for an unknown method, ValueError for
    other shapes.
    """
    check_method(method)
    if L.ndim != 2 or ab.ndim != 3 or ab.shape[0] != 2 or 0 in L.shape or 0 in ab.shape:
        raise ValueError(f"expected L [H, W] and ab [2, h, w], found {list(L.shape)} and {list(ab.shape)}")
    L = np.asarray(L, np.float32)
    ab = np.ascontiguousarray(ab, np.float32)
    if size is not None:
        L = resize_lightness(L, size)
    height, width = L.shape
    if width > MAX_ROW_PX and width > height:
        turned = [layer.transposed() for layer in layers]
        rgb = compose(L.T, ab.transpose(0, 2, 1), None, method, turned, dtype)
        return np.ascontiguousarray(rgb.transpose(1, 0, 2))
    rgb = np.empty((height, width, 3), dtype)
    rows_of = METHODS[method](L, ab)
    for layer in layers:
        distances = partial(_bilinear, layer.distance[None], height, width)
        rows_of = layered(rows_of, METHODS[method](L, layer.ab), lambda rows, of=distances: of(rows)[0])
    for rows in stripes(height, width, STRIPE_PIXELS):
        _to_rgb(np.ascontiguousarray(L[rows]), *rows_of(rows), rgb[rows])
    return rgb


def apply_strength(ab: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """ab of any shape times a strength of colour in 0…2; `ab` itself for 1. `compose` clips the result into the gamut.

    Raises HintRejected for other strengths.
    """
    check_strength(strength)
    return ab if strength == 1 else ab * np.float32(strength)


def check_strength(strength: float) -> None:
    """Raises HintRejected unless a strength of colour is in 0…2."""
    if not 0 <= strength <= MAX_STRENGTH:
        raise HintRejected(f"strength {strength:.4g} is not possible; it runs from 0 (grey) to {MAX_STRENGTH:g}")


def check_method(method: str) -> None:
    """Raises ConfigError for an upsampling method that `compose` does not know."""
    if method not in METHODS:
        raise ConfigError(f"there is no upsampling method {method!r}; choose one of {', '.join(METHODS)}")


def resize_lightness(L: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """L float32 [H, W] resized to `size` (width, height): averaged when it shrinks, bilinear when it grows."""
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"expected a size of at least 1 × 1, found {width} × {height}")
    if (height, width) == L.shape:
        return L
    shrinks = width <= L.shape[1] and height <= L.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(L, np.float32), (width, height), interpolation=interpolation)
    return np.asarray(resized, np.float32)


def fitted(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """`size` (width, height) shrunk so that its longer side is at most `longest_px` pixels, at least 1 × 1."""
    scale = min(1.0, longest_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _bilinear(planes: NDArray[np.float32], height: int, width: int, rows: slice) -> list[NDArray[np.float32]]:
    """Rows of planes [n, h, w], bilinear with pixel centres aligned: first between rows by NumPy, then by OpenCV.

    Rows are still short in the first step. It is not a matrix product, because the threads of BLAS slow down those of
    OpenCV (measured: 1080p in 500 ms instead of 20).
    """
    working_height, working_width = planes.shape[1:]
    if width < working_width:
        planes = np.stack([_along_rows(plane, width) for plane in planes])
    positions = (np.arange(rows.start, rows.stop) + 0.5) * (working_height / height)
    upper, lower, weight = two_cells(positions, working_height)
    weight = weight[:, None]
    return [_along_rows(plane[upper] * (1 - weight) + plane[lower] * weight, width) for plane in planes]


def _along_rows(plane: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A plane [h, w] resized to `width` columns; every row is interpolated by itself."""
    if plane.shape[1] == width:
        return plane
    stretched = cv2.resize(plane, (width, plane.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(stretched, np.float32)


def _bilinear_rows(L: Plane, ab: NDArray[np.float32]) -> Rows:
    def rows_of(rows: slice) -> tuple[Plane, Plane]:
        a, b = _bilinear(ab, height, width, rows)
        return a, b

    height, width = L.shape
    return rows_of


METHODS: dict[str, Callable[[Plane, NDArray[np.float32]], Rows]] = {
    "bilinear": _bilinear_rows,
    "guided": lambda L, ab: Guided(L, resize_lightness(L, (ab.shape[2], ab.shape[1])), ab),
}


def _to_rgb(L: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32], out: NDArray[Any]) -> None:
    """`cielab.lab_to_srgb`, rounded, into `out`: OpenCV's float path is 20 times faster and as exact."""
    # `lab_to_srgb` limits f(Z) to at least 0; OpenCV does not, so b is limited instead.
    np.minimum(b, (L + 16) * np.float32(200 / 116), out=b)
    srgb = cv2.cvtColor(cv2.merge((L, a, b)), cv2.COLOR_Lab2RGB)
    if out.dtype == np.uint8:
        cv2.convertScaleAbs(srgb, out, alpha=255)
    else:
        out[:] = np.rint(np.clip(srgb, 0, 1) * np.float32(np.iinfo(out.dtype).max))
