"""Opening photographs: L and rgb of every format, mode and profile."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.errors import ImageRejected
from livetint.engine.image.photo import Photo, lightness_of_rgb
from PIL import Image, ImageCms, features

from .picture_files import colour_picture, encode, grey_profile, swapped_rgb_profile, tiff

RGB = colour_picture()
GREY = lightness_of_rgb(RGB)


def grey_ramp16() -> np.ndarray:
    """uint16 [16, 256]: 4096 different greys, sixteen to every 8-bit level."""
    return (np.arange(4096) * 16 + 8).astype(np.uint16).reshape(16, 256)


def lightness_of(encoded: np.ndarray) -> np.ndarray:
    """The expected L of sRGB-encoded grey in 0..1, in float64."""
    return srgb_to_lab(np.repeat(np.asarray(encoded, np.float64)[..., None], 3, -1))[..., 0]


def open_image(image: Image.Image, fmt: str, **options) -> Photo:
    return Photo.from_bytes(encode(image, fmt, **options))


# Attributes of a Photo --------------------------------------------------------------------------------------


def test_a_photo_keeps_lightness_at_full_size_and_at_working_size():
    photo = Photo.from_rgb(RGB)
    assert (photo.width, photo.height, photo.size) == (24, 16, (24, 16))
    assert photo.L.shape == (16, 24) and photo.L.dtype == np.float32
    assert photo.working_L.shape == (256, 256) and photo.working_L.dtype == np.float32
    assert np.abs(photo.L - srgb_to_lab(RGB / 255.0)[..., 0]).max() < 1e-3
    assert np.array_equal(photo.rgb, RGB)


def test_working_ab_is_that_of_the_original_colours():
    flat = np.full((30, 50, 3), (180, 60, 90), np.uint8)
    ab = Photo.from_rgb(flat).working_ab()
    assert ab.shape == (2, 256, 256) and ab.dtype == np.float32
    truth = srgb_to_lab(np.array([180, 60, 90]) / 255.0)[1:]
    assert np.abs(ab - truth[:, None, None]).max() < 1e-3


@pytest.mark.parametrize("kind", ["colour", "grey of 16 bits", "alpha"])
def test_a_shrunk_photograph_is_smaller_and_the_same_to_networks(kind):
    rgb = np.tile(RGB, (3, 5, 1))
    image = Image.fromarray(rgb)
    if kind == "alpha":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    photo = open_image(Image.fromarray(grey_ramp16().repeat(8, 0).repeat(3, 1)) if "grey" in kind else image, "PNG")
    small = photo.shrunk(100)
    assert max(small.size) == 100 and small.L.shape == small.size[::-1]
    assert (small.alpha is None) == (photo.alpha is None)
    np.testing.assert_array_equal(small.working_L, photo.working_L)
    np.testing.assert_array_equal(small.working_ab(), photo.working_ab())
    assert abs(float(small.L.mean() - photo.L.mean())) < 1
    assert photo.shrunk(max(photo.size)) is photo


def test_working_lightness_is_squashed_bilinearly_without_smoothing():
    # 512 columns, black and white in turn: every working pixel lies midway between a black and a white one.
    stripes = np.zeros((4, 512, 3), np.uint8)
    stripes[:, 1::2] = 255
    assert np.abs(Photo.from_rgb(stripes).working_L - lightness_of(np.array(128 / 255))).max() < 0.5
    # 1024 columns, two black and two white in turn: again the two neighbours are a black and a white one.
    wide = np.repeat(stripes, 2, axis=1)
    assert np.abs(Photo.from_rgb(wide).working_L - lightness_of(np.array(128 / 255))).max() < 0.5


def test_arrays_are_read_only_and_do_not_follow_their_source():
    source = RGB.copy()
    photo = Photo.from_rgb(source)
    source[:] = 0
    assert np.array_equal(photo.rgb, RGB)
    for plane in (photo.L, photo.rgb, photo.working_L):
        with pytest.raises(ValueError):
            plane[0, 0] = 1


@settings(deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda s: (*s, 3))))
def test_lightness_agrees_with_the_formula(rgb):
    assert np.abs(lightness_of_rgb(rgb) - srgb_to_lab(rgb / 255.0)[..., 0]).max() < 1e-3


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_pixels_of_another_kind_are_refused(bad):
    with pytest.raises(ImageRejected, match="uint8"):
        Photo.from_rgb(bad)


# Formats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "BMP", "PPM"])
def test_lossless_formats_are_exact(fmt):
    assert np.array_equal(open_image(Image.fromarray(RGB), fmt).rgb, RGB)


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("WEBP", {"quality": 98}),
        ("AVIF", {"quality": 98}),
        ("JPEG2000", {}),
        ("GIF", {}),
    ],
)
def test_other_formats_open(fmt, options):
    feature = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}.get(fmt)
    if feature and not features.check(feature):
        pytest.skip(f"this Pillow has no {fmt}")
    photo = open_image(Image.fromarray(RGB), fmt, **options)
    assert np.abs(photo.L - GREY).mean() < 3


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_grey_tiff_keeps_every_level(compression, dtype):
    ramp = grey_ramp16()
    image = Image.fromarray(ramp.astype(dtype))
    photo = open_image(image, "TIFF", compression=compression)
    assert np.abs(photo.L - lightness_of(ramp / 65535)).max() < 1e-3
    assert len(np.unique(photo.L)) == 4096


def test_16_bit_grey_png_keeps_every_level_and_is_scaled_not_clipped():
    ramp = grey_ramp16()
    photo = open_image(Image.fromarray(ramp), "PNG")
    assert np.abs(photo.L - lightness_of(ramp / 65535)).max() < 1e-3
    assert len(np.unique(photo.L)) == 4096
    half = open_image(Image.fromarray(np.full((3, 3), 32768, np.uint16)), "PNG")
    assert half.rgb.max() == half.rgb.min() == 128
    assert np.abs(half.working_L - lightness_of(np.array(32768 / 65535))).max() < 1e-3


def test_16_bit_grey_with_a_grey_profile_follows_the_profile():
    ramp = grey_ramp16()
    linear = (ramp / 65535) ** 1.80078125  # 1.8 as the profile stores it, with eight bits after the point
    encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    for fmt in ("PNG", "TIFF"):
        photo = open_image(Image.fromarray(ramp), fmt, icc_profile=grey_profile(1.8))
        assert np.abs(photo.L - lightness_of(encoded)).max() < 0.02
        assert len(np.unique(photo.L)) > 4000


def test_8_bit_grey_with_a_grey_profile_follows_the_profile():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear = (levels / 255.0) ** 1.80078125
    encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    photo = open_image(Image.fromarray(levels), "PNG", icc_profile=grey_profile(1.8))
    assert np.abs(photo.L - lightness_of(encoded)).max() < 0.02


@pytest.mark.parametrize("profile", [b"nonsense", grey_profile(2.2)[:140], swapped_rgb_profile()])
def test_broken_and_unsuitable_profiles_are_ignored(profile):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    photo = open_image(Image.fromarray(levels), "PNG", icc_profile=profile)
    assert np.array_equal(photo.rgb[..., 0], levels)


def test_16_bit_grey_with_white_as_zero_is_inverted():
    ramp = grey_ramp16()
    photo = Photo.from_bytes(tiff(256, 16, ramp.tobytes(), photometric=0))
    assert np.abs(photo.L - lightness_of(1 - ramp / 65535)).max() < 1e-3


def test_12_bit_grey_is_scaled_to_white():
    # Two pixels of 12 bits in three bytes: 0xFFF and 0x800.
    photo = Photo.from_bytes(tiff(2, 1, b"\xff\xf8\x00", bits=12))
    assert np.abs(photo.L - lightness_of(np.array([[1.0, 0x800 / 0xFFF]]))).max() < 0.01


def test_16_bit_colour_opens_with_its_full_range():
    rgb16 = np.stack([np.full((4, 5), v, np.uint16) for v in (65535, 32896, 0)], -1)
    import cv2

    for extension in (".png", ".tiff"):
        done, data = cv2.imencode(extension, rgb16[..., ::-1])
        assert done
        photo = Photo.from_bytes(data.tobytes())
        assert np.abs(photo.rgb.astype(int) - (255, 128, 0)).max() <= 1


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 64, dtype=np.float32),
        np.linspace(0, 255, 64, dtype=np.float32),
        np.linspace(0, 65535, 64, dtype=np.float32),
        np.linspace(-3, 1e6, 64, dtype=np.float32),
        np.linspace(0, 65535, 64).astype(np.int32),
        np.linspace(-70000, 2**31 - 1, 64).astype(np.int32),
    ],
)
def test_numbers_of_unknown_range_span_black_to_white(values):
    photo = open_image(Image.fromarray(values.reshape(8, 8)), "TIFF")
    truth = (values.astype(float) - min(0, values.min())) / (values.max() - min(0, float(values.min())))
    assert np.abs(photo.L - lightness_of(truth.reshape(8, 8))).max() < 0.01


def test_unsigned_32_bit_grey_is_not_read_as_negative():
    values = np.linspace(0, 2**32 - 1, 64).astype("<u4")
    photo = Photo.from_bytes(tiff(64, 1, values.tobytes(), bits=32))
    assert np.all(np.diff(photo.L[0]) > 0) and photo.L[0, -1] > 99.9


def test_nan_is_black_and_does_not_change_other_pixels():
    values = np.array([[np.nan, 0.0], [0.5, 1.0]], np.float32)
    photo = open_image(Image.fromarray(values), "TIFF")
    assert np.abs(photo.L - lightness_of(np.array([[0, 0], [0.5, 1]]))).max() < 0.01
    nothing = open_image(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF")
    assert nothing.L.max() == 0


# Colour management and modes ------------------------------------------------------------------------------


def test_an_rgb_profile_is_converted():
    red = Image.fromarray(np.full((8, 8, 3), (230, 20, 20), np.uint8))
    rgb = open_image(red, "PNG", icc_profile=swapped_rgb_profile()).rgb[4, 4]
    assert rgb[1] > 200 and rgb[0] < 60


def test_an_srgb_profile_changes_nothing_at_all():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(open_image(Image.fromarray(RGB), "PNG", icc_profile=srgb).rgb, RGB)


@pytest.mark.parametrize("fmt", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(fmt):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, 8:] = (0, 255, 255, 0)  # no ink, and red
    rgb = open_image(Image.fromarray(inks, "CMYK"), fmt).rgb
    assert rgb[8, 3].min() > 240
    assert rgb[8, 13, 0] > 200 and rgb[8, 13, 1:].max() < 60


def test_lab_tiff_is_converted():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(RGB), srgb, lab, outputMode="LAB")
    assert image is not None
    assert np.abs(open_image(image, "TIFF").rgb.astype(int) - RGB).mean() < 2


def test_transparent_parts_are_laid_over_mid_grey():
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    rgba[:, :8, 3] = 0
    rgba[:, 8:16, 3] = 128
    rgb = open_image(Image.fromarray(rgba), "PNG").rgb
    assert np.all(rgb[:, :8] == 128)
    blend = (RGB[:, 8:16].astype(float) * 128 + 128 * 127) / 255
    assert np.abs(rgb[:, 8:16] - blend).max() <= 1
    assert np.array_equal(rgb[:, 16:], RGB[:, 16:])


@pytest.mark.parametrize("profile", [None, grey_profile(1.8)])
def test_grey_with_alpha_is_laid_over_mid_grey(profile):
    la = np.zeros((4, 6, 2), np.uint8)
    la[..., 0] = 255
    la[:, 3:, 1] = 255
    options = {"icc_profile": profile} if profile else {}
    rgb = open_image(Image.fromarray(la, "LA"), "PNG", **options).rgb
    assert np.all(rgb[:, :3] == 128) and np.all(rgb[:, 3:] == 255)


def test_16_bit_grey_with_a_transparent_value():
    ramp = grey_ramp16()
    photo = open_image(Image.fromarray(ramp), "PNG", transparency=int(ramp[3, 5]))
    assert photo.rgb[3, 5, 0] == 128
    assert photo.rgb[0, 0, 0] == 0 and photo.rgb[-1, -1, 0] == 255


def test_a_palette_with_alpha_and_one_without():
    palette = Image.new("P", (6, 4), 0)
    palette.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    palette.paste(1, (2, 0, 4, 4))
    palette.paste(2, (4, 0, 6, 4))
    plain = open_image(palette, "PNG").rgb
    assert [tuple(plain[0, x]) for x in (0, 2, 4)] == [(200, 10, 10), (10, 200, 10), (10, 10, 200)]
    clear = open_image(palette, "PNG", transparency=bytes([255, 0, 128])).rgb
    assert tuple(clear[0, 0]) == (200, 10, 10) and tuple(clear[0, 2]) == (128, 128, 128)
    assert abs(int(clear[0, 4, 2]) - 164) <= 1
    gif = open_image(palette, "GIF", transparency=1).rgb
    assert tuple(gif[0, 2]) == (128, 128, 128)


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "BMP"])
def test_one_bit_pictures(fmt):
    bits = np.zeros((5, 11), bool)
    bits[:, ::2] = True
    rgb = open_image(Image.fromarray(bits), fmt).rgb
    assert np.array_equal(rgb[..., 1], np.where(bits, 255, 0))


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(fmt, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16], upright[:8, 16:], upright[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    undo = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation]))
    photo = open_image(stored, fmt, exif=exif.tobytes())
    assert photo.size == (32, 16)
    for y, x, channel in ((3, 3, 0), (3, 28, 1), (12, 3, 2)):
        assert photo.rgb[y, x].argmax() == channel and photo.rgb[y, x, channel] > 150


def test_exif_rotation_of_16_bit_grey():
    ramp = grey_ramp16()
    exif = Image.Exif()
    exif[0x0112] = 6
    for fmt in ("PNG", "TIFF"):
        photo = open_image(Image.fromarray(np.ascontiguousarray(np.rot90(ramp))), fmt, exif=exif.tobytes())
        assert np.abs(photo.L - lightness_of(ramp / 65535)).max() < 1e-3


@pytest.mark.parametrize("fmt", ["TIFF", "GIF", "PNG", "WEBP"])
def test_the_first_of_several_pictures_is_taken(fmt):
    first, second = (Image.new("RGB", (9, 7), c) for c in ((250, 250, 250), (5, 5, 5)))
    options = {"lossless": True} if fmt == "WEBP" else {}
    photo = open_image(first, fmt, save_all=True, append_images=[second], **options)
    assert photo.size == (9, 7) and photo.rgb.min() > 240


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "TIFF", "GIF"])
def test_one_pixel_and_one_pixel_wide(size, fmt):
    photo = open_image(Image.new("RGB", size, (90, 120, 200)), fmt)
    assert photo.size == size
    assert photo.L.shape == size[::-1] and np.ptp(photo.working_L) < 1


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]))
def test_every_mode_and_size_opens_upright(width, height, mode):
    grey = np.linspace(0, 255, width * height).reshape(height, width)
    image = Image.fromarray(grey.astype(np.uint8))
    image = Image.fromarray((grey * 257).astype(np.uint16)) if mode == "I;16" else image.convert(mode)
    photo = open_image(image, "PNG")
    assert photo.size == (width, height)
    assert photo.rgb.shape == (height, width, 3)
    assert photo.L.min() >= 0 and photo.L.max() <= 100


def test_files_and_bytes_give_the_same(tmp_path):
    path = tmp_path / "name with spaces, ünïcode.png"
    path.write_bytes(encode(Image.fromarray(RGB), "PNG"))
    assert np.array_equal(Photo.open(path).L, Photo.from_bytes(path.read_bytes()).L)
    assert np.array_equal(Photo.open(str(path)).L, Photo.open(path).L)


def test_an_open_file_gives_the_same_whatever_its_position_and_stays_open(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encode(Image.fromarray(RGB), "PNG"))
    with path.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        assert np.array_equal(Photo.from_stream(stream).L, Photo.open(path).L)
        assert not stream.closed
        with pytest.raises(ImageRejected, match="the upload has"):
            Photo.from_stream(stream, max_megapixels=1e-4, name="the upload")


def test_pictures_larger_than_a_stripe_are_whole():
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (1100, 1900, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "BMP")
    photo = Photo.from_bytes(buffer.getvalue())
    assert np.array_equal(photo.rgb, rgb)
    assert np.abs(photo.L - srgb_to_lab(rgb.astype(np.float32) / np.float32(255))[..., 0]).max() < 1e-3
