"""Pictures for files: 16 bits, and the alpha of the photograph."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from livetint.engine import OnnxRunner, Photo, Session, find_model
from livetint.engine.errors import OutputError
from livetint.engine.image.encode import encode_rgb
from livetint.engine.image.metadata import read_metadata
from PIL import Image

H, W = 40, 60
GREY = np.tile(np.linspace(20, 235, W), (H, 1))
ALPHA = np.tile(np.linspace(0, 255, H)[:, None], (1, W)).astype(np.uint8)


@pytest.fixture(scope="module")
def runner() -> OnnxRunner:
    return OnnxRunner(find_model("touch"), 1)


def written(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """The pixels of a file of 16 bits as they are stored, RGB or RGBA."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def assert_alpha(photo: Photo, wanted: np.ndarray) -> None:
    assert photo.alpha is not None and np.array_equal(photo.alpha, wanted)


def grey_alpha(mode: str) -> Image.Image:
    image = Image.fromarray(GREY.astype(np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(ALPHA))
    return image


def over(pixels: np.ndarray, background: int) -> np.ndarray:
    """Pixels [H, W, 4] of 8 bits laid over a background: their luma."""
    alpha = pixels[..., 3:].astype(float) / 255
    return (pixels[..., :3] * alpha + background * (1 - alpha)) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize("extension", [".png", ".tif", ".TIFF"])
def test_a_picture_of_16_bits_has_more_levels_and_rounds_to_that_of_8(runner: OnnxRunner, extension: str):
    levels = np.linspace(9000, 9600, H * W).reshape(H, W).astype(np.uint16)
    session = Session(Photo.from_bytes(written(Image.fromarray(levels), "PNG")), runner)
    deep, plain = session.picture(depth=16), session.picture()
    assert (deep.dtype, plain.dtype) == (np.uint16, np.uint8) and np.array_equal(plain, session.render())
    assert len(np.unique(deep[..., 1])) > 100 > len(np.unique(plain[..., 1]))
    assert np.abs(deep / 257 - plain).max() < 0.51
    data = encode_rgb(deep, extension)
    assert np.array_equal(decoded(data), deep)
    assert Image.open(io.BytesIO(data)).info["icc_profile"]
    assert encode_rgb(deep, extension) == data


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("PNG", "RGB"), ("TIFF", "L"), ("TIFF", "RGB"), ("WEBP", "RGB")]
)
def test_alpha_is_kept_and_the_picture_looks_the_same_over_any_background(runner: OnnxRunner, kind: str, mode: str):
    data = written(grey_alpha(mode), kind, **({"lossless": True} if kind == "WEBP" else {}))
    source = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    session = Session(Photo.from_bytes(data), runner)
    pixels = session.picture(transparent=True)
    assert np.array_equal(pixels[..., 3], ALPHA)
    for background in (0, 128, 255):
        assert np.abs(over(pixels, background) - over(source, background)).max() < 6
    for extension in (".png", ".tiff"):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_rgb(pixels, extension)))), pixels)
    webp = Image.open(io.BytesIO(encode_rgb(pixels, ".webp")))
    assert webp.mode == "RGBA" and np.array_equal(np.asarray(webp)[..., 3], ALPHA)
    assert session.picture().shape == (H, W, 3)


def transparent_palette() -> bytes:
    return written(Image.fromarray(GREY.astype(np.uint8)).quantize(8), "PNG", transparency=0)


def transparent_grey16() -> bytes:
    return written(Image.fromarray((GREY * 200).astype(np.uint16)), "PNG", transparency=int(GREY[0, 0] * 200))


@pytest.mark.parametrize("data", [transparent_palette(), transparent_grey16()], ids=["palette", "16-bit key"])
def test_single_transparent_values_become_alpha(runner: OnnxRunner, data: bytes):
    alpha = Photo.from_bytes(data).alpha
    assert alpha is not None and set(np.unique(alpha)) == {0, 255}


def test_a_deep_picture_has_a_deep_alpha_and_is_read_again(runner: OnnxRunner):
    session = Session(Photo.from_bytes(written(grey_alpha("RGB"), "PNG")), runner)
    pixels = session.picture(depth=16, transparent=True)
    assert np.array_equal(pixels[..., 3], ALPHA.astype(np.uint16) * 257)
    for extension in (".png", ".tif"):
        data = encode_rgb(pixels, extension)
        assert np.array_equal(decoded(data), pixels)
        assert_alpha(Photo.from_bytes(data), ALPHA)


def test_alpha_turns_with_the_photograph_and_opaque_alpha_is_none():
    exif = Image.Exif()
    exif[274] = 6
    assert_alpha(Photo.from_bytes(written(grey_alpha("RGB"), "PNG", exif=exif)), np.rot90(ALPHA, -1))
    opaque = grey_alpha("RGB")
    opaque.putalpha(255)
    assert Photo.from_bytes(written(opaque, "PNG")).alpha is None


@pytest.mark.parametrize(
    ("shape", "dtype", "extension", "words"),
    [
        ((4, 4, 3), np.uint16, ".jpg", "has 8 bits"),
        ((4, 4, 3), np.uint16, ".webp", "has 8 bits"),
        ((4, 4, 4), np.uint8, ".jpg", "no alpha"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(shape, dtype, extension: str, words: str):
    with pytest.raises(OutputError, match=words):
        encode_rgb(np.zeros(shape, dtype), extension)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp"])
def test_a_resolution_that_differs_across_and_down_keeps_the_shape(runner: OnnxRunner, extension: str):
    fax = written(Image.fromarray(GREY.astype(np.uint8)), "TIFF", dpi=(204, 98))
    pixels = Session(Photo.from_bytes(fax), runner).picture()
    assert pixels.shape == (H, W, 3)
    found = read_metadata(encode_rgb(pixels, extension, read_metadata(fax))).resolution
    assert found == pytest.approx((204, 98), abs=0.02)
