"""TIFF files as scanners, cameras and programs for science write them: the right page, and every kind of sample."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from livetint.engine.errors import ImageRejected
from livetint.engine.image.metadata import read_metadata
from livetint.engine.image.photo import Photo
from PIL import Image, ImageCms

from ...needs import needs
from .picture_files import colour_picture, encode, grey_profile, swapped_rgb_profile
from .tiff_files import (
    ASSOCIATED,
    CIELAB,
    CMYK,
    DEFLATE,
    FILTER_ARRAY,
    GREY,
    ICCLAB,
    LZW,
    PACK_BITS,
    PLAIN,
    RGB,
    UNASSOCIATED,
    PageToWrite,
    write_tiff,
)

COLOURS = colour_picture(20, 15)
RAMP = np.linspace(0, 1, 300).reshape(15, 20)


def grey(shares: np.ndarray, dtype: str) -> np.ndarray:
    """Shares of white [H, W] as samples [H, W, 1] of a type."""
    top = 1 if dtype.startswith("f") else np.iinfo(dtype).max
    return (shares * top).astype(dtype)[..., None]


def open_page(samples: np.ndarray, photometric: int = GREY, **options) -> Photo:
    return Photo.from_bytes(write_tiff(PageToWrite(samples, photometric, **options)))


def levels(photo: Photo) -> np.ndarray:
    """Grey of a photo, 0 to 255."""
    assert (photo.rgb == photo.rgb[..., :1]).all()
    return photo.rgb[..., 0].astype(float)


# Samples that Pillow refuses or misreads ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u2", "u4"])
def test_grey_of_every_depth_keeps_its_levels(dtype):
    photo = open_page(grey(RAMP, dtype))
    assert np.abs(levels(photo) - RAMP * 255).max() <= 0.55
    assert len(np.unique(photo.L)) > 280, "more than 8 bits"


@pytest.mark.parametrize("dtype", ["u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("planar", [False, True], ids=["contiguous", "planar"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_colour_of_every_depth(dtype, planar, order):
    samples = np.stack([grey(COLOURS[..., i] / 255, dtype)[..., 0] for i in range(3)], -1)
    photo = Photo.from_bytes(write_tiff(PageToWrite(samples, RGB, planar=planar), order=order))
    assert np.abs(photo.rgb.astype(int) - COLOURS).max() <= 1


@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("kind", [UNASSOCIATED, ASSOCIATED])
@pytest.mark.parametrize("count", [1, 3])
def test_deep_samples_with_alpha_are_laid_over_mid_grey(dtype, kind, count):
    shares = np.repeat(RAMP[..., None], count, -1)
    alpha = np.ones((15, 20, 1))
    alpha[:, :5], alpha[:, 5:10] = 0, 0.5
    stored = np.concatenate([shares * alpha if kind == ASSOCIATED else shares, alpha], -1)
    samples = np.concatenate([grey(stored[..., i], dtype) for i in range(count + 1)], -1)
    photo = open_page(samples, RGB if count == 3 else GREY, extra=(kind,))
    expected = (RAMP * alpha[..., 0] + 128 / 255 * (1 - alpha[..., 0])) * 255
    assert np.abs(levels(photo) - expected).max() <= 1


def test_an_extra_channel_that_is_no_alpha_is_ignored():
    samples = np.concatenate([grey(RAMP, "u2"), np.zeros((15, 20, 1), "u2")], -1)
    assert np.abs(levels(open_page(samples, extra=(0,))) - RAMP * 255).max() <= 0.51


@pytest.mark.parametrize("photometric", [CIELAB, ICCLAB])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_cielab_of_8_and_16_bits(photometric, dtype):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(COLOURS), srgb, lab, outputMode="LAB")
    assert image is not None
    L, a, b = (np.asarray(band).astype(int) for band in image.split())
    if dtype == "u1":
        samples = np.stack([L, a, b], -1) if photometric == ICCLAB else np.stack([L, a ^ 128, b ^ 128], -1)
    elif photometric == ICCLAB:
        samples = np.stack([L * 0xFF00 // 255, a * 256, b * 256], -1)
    else:
        samples = np.stack([L * 257, (a - 128) * 256 % 65536, (b - 128) * 256 % 65536], -1)
    photo = open_page(samples.astype(dtype), photometric)
    assert np.abs(photo.rgb.astype(int) - COLOURS).mean() < 2


def test_cmyk_of_16_bits_is_not_inverted():
    inks = np.zeros((15, 20, 4), "u2")
    inks[:, 10:] = (0, 65535, 65535, 0)
    for planar in (False, True):
        rgb = open_page(inks, CMYK, planar=planar).rgb
        assert rgb[8, 3].min() > 240 and rgb[8, 13, 0] > 200 and rgb[8, 13, 1:].max() < 60


def test_white_as_zero_is_inverted():
    samples = np.concatenate([grey(RAMP, "u2"), np.full((15, 20, 1), 65535, "u2")], -1)
    photo = open_page(samples, photometric=0, extra=(UNASSOCIATED,))
    assert np.abs(levels(photo) - (1 - RAMP) * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("compression", "predictor"), [(PLAIN, 1), *itertools.product((LZW, DEFLATE, PACK_BITS), (1, 2, 3))]
)
@pytest.mark.parametrize("tile", [None, (16, 16)], ids=["strips", "tiles"])
@pytest.mark.parametrize("planar", [False, True], ids=["contiguous", "planar"])
def test_every_way_of_packing(compression, predictor, tile, planar):
    dtype = "f4" if predictor == 3 else "u2"
    samples = np.stack([grey(COLOURS[..., i] / 255, dtype)[..., 0] for i in range(3)], -1)
    page = PageToWrite(samples, RGB, compression, predictor, planar, tile)
    for order in "<>":
        photo = Photo.from_bytes(write_tiff(page, order=order))
        assert np.abs(photo.rgb.astype(int) - COLOURS).max() <= 1


@needs("skimage")  # which brings tifffile
def test_these_files_are_read_alike_by_another_program():
    import tifffile

    samples = np.stack([grey(COLOURS[..., i] / 255, "f4")[..., 0] for i in range(3)], -1)
    for planar in (False, True):
        for tile in (None, (16, 16)):
            data = write_tiff(PageToWrite(samples, RGB, DEFLATE, planar=planar, tile=tile))
            read = tifffile.imread(io.BytesIO(data))
            assert np.array_equal(read.transpose(1, 2, 0) if planar else read, samples)


def test_big_tiff():
    samples = np.concatenate([grey(RAMP, "u2"), np.full((15, 20, 1), 65535, "u2")], -1)
    data = write_tiff(PageToWrite(samples, extra=(UNASSOCIATED,)), big=True)
    assert np.abs(levels(Photo.from_bytes(data)) - RAMP * 255).max() <= 0.51


def test_deep_pictures_are_turned_upright_and_follow_their_profiles():
    samples = np.concatenate([grey(RAMP, "u2"), np.full((15, 20, 1), 65535, "u2")], -1)
    assert open_page(samples, extra=(UNASSOCIATED,), tags={274: 6}).size == (15, 20)
    half = Image.new("I;16", (4, 4), 32768)
    for image, profile, samples, photometric in (
        (half, grey_profile(1.8), np.full((4, 4, 1), 0.5, "f8"), GREY),
        (
            Image.new("RGB", (4, 4), (230, 20, 20)),
            swapped_rgb_profile(),
            np.full((4, 4, 3), 257, "u2") * (230, 20, 20),
            RGB,
        ),
    ):
        plain = Photo.from_bytes(encode(image, "PNG", icc_profile=profile))
        page = PageToWrite(samples.astype(samples.dtype if photometric == GREY else "u2"), photometric)
        data = write_tiff(page)
        with Image.open(io.BytesIO(encode(Image.new("L", (1, 1)), "TIFF", icc_profile=profile))) as carrier:
            assert carrier.info["icc_profile"] == profile
        assert np.abs(Photo.from_bytes(with_profile(data, profile)).rgb.astype(int) - plain.rgb).max() <= 1


def with_profile(data: bytes, profile: bytes) -> bytes:
    """A little-endian TIFF with an ICC profile: its directory is written again at the end."""
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = data[start + 2 : start + 2 + 12 * count]
    place = len(data)
    entry = b"\x73\x87" + b"\x07\0" + len(profile).to_bytes(4, "little") + place.to_bytes(4, "little")
    body = data[:4] + (place + len(profile)).to_bytes(4, "little") + data[8:] + profile
    return body + (count + 1).to_bytes(2, "little") + entries + entry + bytes(4)


# Metadata


# Pillow, which reads the metadata, knows no big-endian BigTIFF.
@pytest.mark.parametrize(
    ("order", "big"), [("<", False), (">", False), ("<", True)], ids=["little", "big-endian", "BigTIFF"]
)
@pytest.mark.parametrize(
    "deep",
    [
        PageToWrite(np.concatenate([grey(RAMP, "u2"), grey(RAMP, "u2")], -1), extra=(UNASSOCIATED,)),
        PageToWrite(np.repeat(grey(RAMP, "f8"), 3, -1), RGB, DEFLATE, planar=True),
        PageToWrite(grey(RAMP, "f2"), tile=(16, 16)),
    ],
    ids=["grey and alpha", "planes of doubles", "tiles of half floats"],
)
def test_metadata_of_pages_that_pillow_does_not_open(deep, order, big):
    deep.tags = {282: 600, 283: 300, 296: 2, 274: 1}
    for pages in ((deep,), (PageToWrite(np.zeros((3, 4, 1), "u1"), subfile=1, tags={282: 72, 283: 72}), deep)):
        data = write_tiff(*pages, order=order, big=big)
        assert Photo.from_bytes(data).size == (20, 15)
        found = read_metadata(data)
        assert found.resolution == (600, 300)


# What no header says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("white", [1.0, 255.0, 65504.0])
def test_floats_a_little_beyond_their_range_keep_it_and_say_so(dtype, white):
    values = (RAMP * 1.03 - 0.01) * white
    if white > 65000:
        values = np.minimum(values, 65504)  # the largest half float
    photo = open_page(values.astype(dtype)[..., None])
    expected = np.clip(values / (65535 if white > 65000 else white), 0, 1) * 255
    assert np.abs(levels(photo) - expected).max() <= 1
    assert len(photo.notes) == 1 and "as black" in photo.notes[0] and "as white" in photo.notes[0]


def test_a_page_of_paper_above_1_is_white():
    paper = np.full((15, 20, 1), 1.02, "f4")
    paper[5:9, 5:9] = 0.1
    photo = open_page(paper)
    assert photo.rgb[0, 0, 0] == 255 and abs(int(photo.rgb[6, 6, 0]) - 26) <= 1


@pytest.mark.parametrize("odd", [50.0, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan])
def test_single_values_far_beyond_do_not_darken_the_rest(odd):
    values = RAMP.astype("f4")[..., None].copy()
    values[3, 3] = odd
    photo = open_page(values)
    found = levels(photo)
    found[3, 3] = RAMP[3, 3] * 255
    assert np.abs(found - RAMP * 255).max() <= 1


def test_no_data_does_not_flatten_values_of_an_unusual_range():
    values = np.tile((RAMP * 3e5 - 1e5).astype("f4"), (3, 3))  # enough values to tell the bulk from the few
    values[0, 0] = -3.4e38
    photo = open_page(values[..., None])
    assert levels(photo).std() > 50


def test_bright_points_on_black_of_0_to_255_are_not_taken_for_overshoot():
    stars = np.zeros((15, 20, 1), "f4")
    stars[::5, ::5] = 200
    assert open_page(stars).rgb.max() in range(195, 206)


def test_values_in_0_to_1_need_no_note():
    assert open_page(grey(RAMP, "f4")).notes == ()


# Pages ---------------------------------------------------------------------------------------------------------

LARGE, SMALL = grey(RAMP, "u2")[..., 0], grey(1 - RAMP, "u2")[::3, ::4, 0]


def page(plane: np.ndarray, **options) -> PageToWrite:
    return PageToWrite((plane >> 8).astype("u1")[..., None], **options)


@pytest.mark.parametrize("mark", [{"subfile": 1}, {"tags": {255: 2}}, {}], ids=["reduced", "old reduced", "unmarked"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("place", ["next page", "sub-page"])
def test_a_thumbnail_before_the_picture_is_not_taken_for_it(mark, order, place):
    large, small = page(LARGE), page(SMALL, **mark)
    if place == "sub-page":
        small.sub = (large,)
    pages = (small,) if place == "sub-page" else (small, large)
    photo = Photo.from_bytes(write_tiff(*pages, order=order))
    assert photo.size == (20, 15) and np.abs(levels(photo) - RAMP * 255).max() <= 1


@pytest.mark.parametrize("subfile", [1, 4], ids=["reduced", "mask"])
def test_larger_pages_that_are_marked_are_left_out(subfile):
    photo = Photo.from_bytes(write_tiff(page(SMALL), page(LARGE, subfile=subfile)))
    assert photo.size == SMALL.shape[::-1]


def test_of_equal_pages_the_first_is_taken():
    photo = Photo.from_bytes(write_tiff(page(LARGE), page(LARGE[::-1])))
    assert np.abs(levels(photo) - RAMP * 255).max() <= 1


def test_a_file_with_reduced_pages_alone_opens():
    assert Photo.from_bytes(write_tiff(page(SMALL, subfile=1))).size == SMALL.shape[::-1]


def test_a_big_tiff_with_a_thumbnail():
    data = write_tiff(page(SMALL, subfile=1, sub=(page(LARGE),)), big=True)
    assert Photo.from_bytes(data).size == (20, 15)


def test_directories_that_form_a_ring_end():
    data = bytearray(write_tiff(page(LARGE)))
    start = int.from_bytes(data[4:8], "little")
    data[-4:] = start.to_bytes(4, "little")
    assert Photo.from_bytes(bytes(data)).size == (20, 15)


def test_a_damaged_page_does_not_hide_the_others():
    data = bytearray(write_tiff(page(LARGE)))
    data[-4:] = (len(data) - 1).to_bytes(4, "little")
    assert Photo.from_bytes(bytes(data)).size == (20, 15)


RAW = PageToWrite(grey(RAMP, "u2"), FILTER_ARRAY)
RAW_FILES = {
    "dng": write_tiff(page(SMALL, subfile=1, sub=(RAW,))),
    "dng with a preview": write_tiff(page(SMALL, subfile=1, sub=(RAW, page(LARGE, subfile=1)))),
    "linear dng": write_tiff(page(SMALL, subfile=1, sub=(PageToWrite(np.zeros((15, 20, 3), "u2"), 34892),))),
    "nef": write_tiff(page(SMALL, subfile=1, sub=(page(LARGE, tags={259: 34713}),))),
    "cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(60),
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\x01" + bytes(60),
    "orf": b"IIRO\x08\0\0\0" + bytes(60),
    "rw2": b"IIU\0\x08\0\0\0" + bytes(60),
    "raf": b"FUJIFILMCCD-RAW 0201" + bytes(60),
    "x3f": b"FOVb" + bytes(60),
}


@pytest.mark.parametrize("kind", RAW_FILES)
def test_a_raw_file_is_refused_by_that_name(kind):
    with pytest.raises(ImageRejected, match="camera raw file; develop it"):
        Photo.from_bytes(RAW_FILES[kind])
