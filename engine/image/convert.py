"""From the samples of a decoded picture to sRGB: grey with its depth, colours in 8 bits, transparency over mid-grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin

from .icc import colour_transform, grey_curve
from .rows import stripes

# The background behind transparent parts: the middle of the encoded range, in 8 and in 16 bits.
BACKDROP = 128
BACKDROP_16 = 128 * 257
WHITE_16 = 65535

_TAG_BITS, _TAG_PHOTOMETRIC, _TAG_SAMPLE_FORMAT = 258, 262, 339

# White levels that files of floats usually have. Sharpening and resampling overshoot them by a few percent.
_FLOAT_WHITES = (1.0, 255.0, 65535.0)
_INTEGER_WHITES = (255.0, 65535.0)
_OVERSHOOT = 1.1
# Share of the values that are not black which a white level has to hold, and of all values that are not negative.
_BULK, _NOT_NEGATIVE = 0.95, 0.99
# Values at either end that may be outliers ("no data", hot pixels).
_OUTLIERS = 0.001
_SAMPLE_VALUES = 1 << 20


@dataclass(frozen=True, eq=False)
class Deep:
    """A picture with more than 8 bits, as it is stored: not upright, and not yet in sRGB.

    space: what the channels are. In "LAB", L in 0..100 spans 0..65535, and a and b are (a + 128) × 257.
    channels: uint16 [H, W, 1], [H, W, 3] or [H, W, 4]. alpha: uint16 [H, W], or None; colours are not multiplied by it.
    notes: sentences about what had to be assumed.
    """

    space: Literal["GRAY", "RGB", "CMYK", "LAB"]
    channels: NDArray[np.uint16]
    alpha: NDArray[np.uint16] | None = None
    notes: tuple[str, ...] = ()


def grey_of_deep(deep: Deep, profile: bytes | None) -> NDArray[np.uint16]:
    """sRGB-encoded grey uint16 [H, W] of a picture in the space "GRAY", transparent parts over the backdrop."""
    curve = grey_curve(profile)
    plane = np.ascontiguousarray(deep.channels[..., 0])
    for rows in stripes(*plane.shape):
        part = plane[rows] if curve is None else curve[plane[rows]]
        if deep.alpha is not None:
            alpha = deep.alpha[rows].astype(np.uint64)
            part = (part * alpha + BACKDROP_16 * (WHITE_16 - alpha) + WHITE_16 // 2) // WHITE_16
        plane[rows] = part
    return plane


def image_of_deep(deep: Deep) -> Image.Image:
    """The same picture in 8 bits for Pillow, in the mode RGB, RGBA, CMYK or LAB."""
    planes = [deep.channels[..., i] for i in range(deep.channels.shape[2])]
    mode: str = deep.space
    if deep.space == "RGB" and deep.alpha is not None:
        mode, planes = "RGBA", [*planes, deep.alpha]
    return Image.merge(mode, [Image.fromarray(to_8_bits(plane)) for plane in planes])


def to_8_bits(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """0…65535 → 0…255, rounded: [H, W] or [H, W, C]."""
    eight = np.empty(values.shape, np.uint8)
    for rows in stripes(*values.shape[:2]):
        eight[rows] = (values[rows].astype(np.uint32) + 128) // 257
    return eight


# Grey that Pillow has read -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GreyHeader:
    """How the header of a grey picture with more than 8 bits says that its numbers are encoded."""

    bits: int = 16
    unsigned: bool = True
    white_is_zero: bool = False

    @classmethod
    def of(cls, image: ImageFile.ImageFile) -> GreyHeader:
        if not isinstance(image, TiffImagePlugin.TiffImageFile):
            return cls()

        def tag(number: int, default: int) -> int:
            value = image.tag_v2.get(number, default)
            value = value[0] if isinstance(value, tuple) and value else value
            return value if isinstance(value, int) else default

        return cls(tag(_TAG_BITS, 16), tag(_TAG_SAMPLE_FORMAT, 1) == 1, tag(_TAG_PHOTOMETRIC, 1) == 0)


def grey_plane(
    image: Image.Image, header: GreyHeader, profile: bytes | None
) -> tuple[NDArray[np.uint16] | None, tuple[str, ...]]:
    """sRGB-encoded grey uint16 [H, W] where 8 bits would lose something, else None; and notes as in `Deep`."""
    is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    if not is_deep and image.mode not in ("1", "L", "LA"):
        return None, ()
    curve = grey_curve(profile)
    if is_deep:
        plane, notes = _deep_values(image, header)
        transparent_value = image.info.get("transparency")
        is_transparent = plane == transparent_value if isinstance(transparent_value, int) else None
        if curve is not None:
            plane = curve[plane]
        if is_transparent is not None:
            plane[is_transparent] = BACKDROP_16
        return plane, notes
    if curve is None:
        return None, ()
    if not image.has_transparency_data:
        return curve[::257][np.asarray(image.convert("L"))], ()
    grey_alpha = image.convert("LA")
    plane = curve[::257][np.asarray(grey_alpha.getchannel("L"))]
    alpha = np.asarray(grey_alpha.getchannel("A")).astype(np.uint32)
    return ((plane * alpha + BACKDROP_16 * (255 - alpha) + 127) // 255).astype(np.uint16), ()


def _deep_values(image: Image.Image, header: GreyHeader) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """The numbers of a grey picture of 9 to 32 bits, scaled to 0..65535 (a new array), and notes."""
    values, notes = np.asarray(image), ()
    if image.mode.startswith("I;16"):
        top = (1 << header.bits) - 1 if 9 <= header.bits <= 16 else WHITE_16
        plane = scale_to_16_bits(values, 0, top) if top < WHITE_16 else values.astype(np.uint16)
    elif image.mode == "I" and image.format in ("PNG", "PPM", "JPEG2000"):
        plane = scale_to_16_bits(values, 0, WHITE_16)  # Pillow scales these to 16 bits itself
    else:
        if image.mode == "I" and header.bits == 32 and header.unsigned:
            values = values.view(np.uint32)  # Pillow reads them as signed
        low, high, notes = guess_range(values)
        plane = scale_to_16_bits(values, low, high)
    return np.subtract(WHITE_16, plane, dtype=np.uint16) if header.white_is_zero else plane, notes


def guess_range(values: NDArray) -> tuple[float, float, tuple[str, ...]]:
    """Black and white level of numbers whose range no header gives (integers of 32 bits, floats), and notes.

    The smallest usual range that holds them (0..1 for floats, 0..255, 0..65535), else their minimum and maximum. Of
    floats, the bulk decides: a few may lie a little beyond the range, or far beyond it. A note says what was assumed,
    unless all of them lie in 0..1 or are integers in a usual range.
    """
    is_float = values.dtype.kind == "f"
    finite = values[np.isfinite(values)] if is_float else values.ravel()
    if finite.size == 0:
        return 0.0, 1.0, ()
    lowest, highest = float(finite.min()), float(finite.max())
    low, high = _range_of_floats(finite, lowest, highest) if is_float else _range_of_integers(lowest, highest)
    if low <= lowest and highest <= high and high in ((1.0,) if is_float else _INTEGER_WHITES):
        return low, high, ()
    found, taken = f"from {lowest:.4g} to {highest:.4g}", f"{low:.4g} is taken as black and {high:.4g} as white"
    return low, high, (f"its values run {found}; {taken}",)


def _range_of_integers(lowest: float, highest: float) -> tuple[float, float]:
    for white in _INTEGER_WHITES:
        if lowest >= 0 and highest <= white:
            return 0.0, white
    return lowest, max(highest, lowest + 1)


def _range_of_floats(finite: NDArray, lowest: float, highest: float) -> tuple[float, float]:
    sample = finite[:: max(1, finite.size // _SAMPLE_VALUES)].astype(np.float64)
    few_below = float(np.quantile(sample, 1 - _NOT_NEGATIVE))
    light = sample[sample > 1 / 255]
    bulk = float(np.quantile(light, _BULK)) if light.size else 0.0
    for white in _FLOAT_WHITES:
        if few_below >= (1 - _OVERSHOOT) * white and bulk <= _OVERSHOOT * white:
            return 0.0, white
    # No usual range. A few values that lie further out than all others together are left out.
    low, high = np.quantile(sample, [_OUTLIERS, 1 - _OUTLIERS])
    span = high - low
    low, high = (float(low) if low - lowest > span else lowest), (float(high) if highest - high > span else highest)
    return low, high if high > low else low + 1


def scale_to_16_bits(values: NDArray, low: float, high: float) -> NDArray[np.uint16]:
    """Map low..high to 0..65535, clipped and rounded: [H, W] or [H, W, C] of any numbers. NaN becomes black."""
    plane = np.empty(values.shape, np.uint16)
    for rows in stripes(*values.shape[:2]):
        part = (values[rows].astype(np.float64) - low) / (high - low)
        plane[rows] = np.rint(np.clip(np.nan_to_num(part, nan=0.0), 0, 1) * WHITE_16)
    return plane


def rgb_of_grey(plane: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Grey uint16 [H, W] as uint8 [H, W, 3], rounded."""
    rgb = np.empty((*plane.shape, 3), np.uint8)
    for rows in stripes(*plane.shape):
        rgb[rows] = to_8_bits(plane[rows])[..., None]
    return rgb


def alpha_plane(image: Image.Image) -> NDArray[np.uint8] | None:
    """The alpha uint8 [H, W] of a loaded picture, or None where nothing is transparent."""
    value = image.info.get("transparency")
    if image.mode.startswith("I") and isinstance(value, int):
        alpha = np.where(np.asarray(image) == value, 0, 255).astype(np.uint8)
    elif image.has_transparency_data:
        bands = image.getbands()
        alpha = np.asarray(image.getchannel("A") if "A" in bands else image.convert("RGBA").getchannel("A"))
    else:
        return None
    return None if alpha.min() == 255 else np.ascontiguousarray(alpha)


def uncovered(plane: NDArray[Any], alpha: NDArray[np.uint8]) -> NDArray[Any]:
    """What lies under alpha: the colours uint8 or uint16 [H, W, ...] before they were laid over the backdrop.

    Off by up to 1 / alpha steps, which is one step where the result is laid over anything. Without meaning where alpha
    is 0.
    """
    top = np.iinfo(plane.dtype).max
    backdrop = BACKDROP if top == 255 else BACKDROP_16
    found = np.empty_like(plane)
    for rows in stripes(*plane.shape[:2]):
        share = np.maximum(alpha[rows], 1).astype(np.float32) / 255
        share = share.reshape(*share.shape, *(1,) * (plane.ndim - 2))
        part = (plane[rows].astype(np.float32) - backdrop * (1 - share)) / share
        found[rows] = np.clip(np.rint(part), 0, top)
    return found


# Colour -----------------------------------------------------------------------------------------------------


def rgb_plane(image: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    """sRGB uint8 [H, W, 3] of a loaded picture of any mode, transparent parts over the backdrop."""
    width, height = image.size
    direct = image.mode if image.mode in ("CMYK", "LAB") else "RGB"
    is_grey = image.mode in ("1", "L", "LA", "La")  # an RGB profile does not apply to it
    transform = None if is_grey else colour_transform(direct, profile)
    rgb = np.empty((height, width, 3), np.uint8)
    for rows in stripes(height, width):
        stripe = image.crop((0, rows.start, width, rows.stop))
        alpha = None
        if stripe.has_transparency_data:
            stripe = (stripe.convert("LA") if stripe.mode == "La" else stripe).convert("RGBA")
            alpha = np.asarray(stripe.getchannel("A")).astype(np.uint16)[..., None]
        if direct == "RGB" or transform is None:
            stripe = stripe.convert("RGB")
        if transform is not None:
            stripe = ImageCms.applyTransform(stripe, transform) or stripe
        colours = np.asarray(stripe)
        if alpha is not None:
            colours = (colours * alpha + BACKDROP * (255 - alpha) + 127) // 255
        rgb[rows] = colours
    return rgb
