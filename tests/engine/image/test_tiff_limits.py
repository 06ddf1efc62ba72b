"""TIFF files that are refused: of other kinds, too large, cut off or damaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.errors import ImageRejected
from livetint.engine.image.photo import Photo

from .test_tiff import RAMP, grey
from .tiff_files import (
    CIELAB,
    DEFLATE,
    GREY,
    LZW,
    PACK_BITS,
    PLAIN,
    RGB,
    PageToWrite,
    write_tiff,
)


@pytest.mark.parametrize(
    "unread",
    [
        PageToWrite(np.zeros((15, 20, 3), "i2"), CIELAB),
        PageToWrite(np.zeros((15, 20, 3), "u2"), 6),
        PageToWrite(np.zeros((15, 20, 3), "u2"), RGB, tags={259: 34892}),
        PageToWrite(np.zeros((15, 20, 9), "u2"), RGB, extra=(0,) * 6),
        PageToWrite(np.zeros((15, 20, 1), "u8"), GREY),
    ],
    ids=["signed CIELAB", "YCbCr", "lossy DNG", "nine channels", "64-bit integers"],
)
def test_a_tiff_of_another_kind_is_refused_as_such(unread):
    with pytest.raises(ImageRejected, match=r"is a TIFF of a kind that is not read: .* samples of .* bits"):
        Photo.from_bytes(write_tiff(unread))


DEEP = [
    write_tiff(PageToWrite(np.repeat(grey(RAMP, dtype), 3, -1), RGB, compression, predictor, planar, tile))
    for dtype, compression, predictor, planar, tile in (
        *(("u2", PLAIN, 1, True, None), ("u2", LZW, 2, False, None), ("f4", DEFLATE, 3, True, (16, 16))),
        *(("f8", PACK_BITS, 1, False, (16, 16)), ("f2", PLAIN, 1, False, None)),
    )
]


@pytest.mark.parametrize("data", DEEP, ids=range(len(DEEP)))
def test_the_limit_holds_and_half_a_file_is_refused(data):
    with pytest.raises(ImageRejected, match="megapixels"):
        Photo.from_bytes(data, max_megapixels=0.0002)
    assert Photo.from_bytes(data, max_megapixels=0.0003).size == (20, 15)
    with pytest.raises(ImageRejected, match="damaged"):
        Photo.from_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("compression", [PLAIN, LZW])
def test_strips_behind_the_end_of_the_file_are_refused(compression):
    data = bytearray(write_tiff(PageToWrite(np.repeat(grey(RAMP, "u2"), 3, -1), RGB, compression, strip_rows=15)))
    at = data.index((273).to_bytes(2, "little") + b"\x04\0\x01\0\0\0")
    data[at + 8 : at + 12] = (len(data) - 8).to_bytes(4, "little")
    with pytest.raises(ImageRejected, match="ends before its pixels do"):
        Photo.from_bytes(bytes(data))


def test_a_tile_far_larger_than_the_picture_is_refused_before_it_is_unpacked():
    bomb = PageToWrite(np.zeros((4, 4, 2), "u2"), compression=DEFLATE, extra=(2,), tile=(16, 16))
    data = bytearray(write_tiff(bomb))
    for tag in (322, 323):
        at = data.index(tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0")
        data[at + 8 : at + 12] = (60000).to_bytes(4, "little")
    with pytest.raises(ImageRejected, match="larger than the picture"):
        Photo.from_bytes(bytes(data))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(DEEP),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    st.booleans(),
)
def test_damaged_deep_files_open_or_are_refused(data, changes, in_directory):
    damaged = bytearray(data)
    start = int.from_bytes(data[4:8], "little") if in_directory else 0
    for where, value in changes:
        damaged[start + int(where * (len(data) - start))] = value
    try:
        photo = Photo.from_bytes(bytes(damaged), max_megapixels=0.1)
    except ImageRejected as error:
        assert "\n" not in str(error)
        return
    assert np.isfinite(photo.L).all()
