"""What a PNG says of its colours without a profile: the chunks gAMA, cHRM and sRGB."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from livetint.engine.colour.cielab import RGB_FROM_XYZ, decode_gamma
from livetint.engine.image.icc import SRGB_CHROMATICITIES
from livetint.engine.image.photo import Photo
from PIL import Image, ImageCms

# Adobe RGB (1998): chromaticities of white, red, green and blue, and the matrix of its specification.
ADOBE_TO_XYZ = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
ADOBE = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
COLOURS = np.stack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 90)], -1)


def encode_gamma(light: np.ndarray) -> np.ndarray:
    """Linear light in 0…1 → sRGB in 0…1, by looking it up in the inverse."""
    table = np.linspace(0, 1, 65536)
    return np.interp(light, decode_gamma(table), table)


def png(pixels: np.ndarray, *chunks: tuple[bytes, bytes], mode: str | None = None, **options) -> bytes:
    """A PNG with `chunks` behind its header."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "PNG", **options)
    data = file.getvalue()
    more = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:33] + more + data[33:]


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100000))


def chrm(chromaticities: tuple[float, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in chromaticities))


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.6])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "P", "16"])
def test_gama_is_honoured(gamma: float, mode: str):
    expected = 255 * encode_gamma((RAMP / 255) ** (1 / gamma))
    pixels = RAMP.astype(np.uint16) * 257 if mode == "16" else RAMP
    data = png(pixels, gama(gamma), mode=None if mode in ("L", "16") else mode)
    found = Photo.from_bytes(data).rgb[..., 0].astype(float)
    assert np.abs(found - expected)[:, 8:].max() <= 1.5


@pytest.mark.parametrize("pixels", [RAMP, COLOURS], ids=["grey", "colour"])
@pytest.mark.parametrize(
    "chunks",
    [
        (gama(0.45455),),
        (gama(0.45455), chrm(SRGB_CHROMATICITIES)),
        (gama(1.0), (b"sRGB", b"\0")),
        (gama(0.0),),
        (gama(40000.0),),
    ],
    ids=["sRGB's gamma", "sRGB's gamma and primaries", "sRGB outranks", "no sense", "no sense either"],
)
def test_what_stands_for_srgb_or_makes_no_sense_changes_nothing(pixels: np.ndarray, chunks):
    assert np.array_equal(Photo.from_bytes(png(pixels, *chunks)).rgb, Photo.from_bytes(png(pixels)).rgb)


def test_chrm_is_honoured():
    found = Photo.from_bytes(png(COLOURS, gama(1 / 2.2), chrm(ADOBE))).rgb
    light = (COLOURS / 255) ** 2.2 @ ADOBE_TO_XYZ.T @ RGB_FROM_XYZ.T
    fits = ((light > 0.02) & (light < 0.98)).all(-1)
    assert fits.mean() > 0.2
    assert np.abs(found - 255 * encode_gamma(light))[fits].max() <= 2.5
    assert np.abs(found.astype(int) - COLOURS)[fits].max() > 10
    grey = np.repeat(RAMP[..., None], 3, -1)
    neutral = Photo.from_bytes(png(grey, gama(1 / 2.2), chrm(ADOBE))).rgb.astype(int)
    assert np.abs(neutral - neutral.mean(-1, keepdims=True)).max() <= 1.5


def test_impossible_primaries_are_ignored():
    for bad in (SRGB_CHROMATICITIES[:2] * 4, (0.3127, 0.0, *SRGB_CHROMATICITIES[2:])):
        assert np.array_equal(Photo.from_bytes(png(COLOURS, gama(1.0), chrm(bad))).rgb, COLOURS)


def test_a_profile_outranks_gama():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(Photo.from_bytes(png(COLOURS, gama(1.0), icc_profile=profile)).rgb, COLOURS)
