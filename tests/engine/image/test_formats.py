"""Formats that Pillow reads wrongly, not at all, or only with an extra: JPEG 2000, JPEG without its end, HEIC, PNG."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from livetint.engine.errors import ImageRejected
from livetint.engine.image import formats
from livetint.engine.image.photo import Photo
from PIL import Image

from ...needs import needs
from .picture_files import colour_picture, encode

COLOURS = colour_picture(64, 48)
COLOURS[:4], COLOURS[-4:] = 255, 0  # white paper, and black
EXAMPLE = Path(__file__).parent / "phone.heic"


# JPEG 2000 ------------------------------------------------------------------------------------------------------


def jp2(samples: np.ndarray) -> bytes:
    """A JPEG 2000 file of samples [H, W, C], lossless."""
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples.shape[2]]
    done, data = cv2.imencode(".jp2", samples[..., order], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert done
    return data.tobytes()


def code_stream(data: bytes) -> bytes:
    return data[data.index(b"\xff\x4f\xff\x51") :]


def with_depth(data: bytes, bits: int) -> bytes:
    """A lossless file of 16 bits whose header claims fewer: samples v become v − 2¹⁵ + 2^(bits − 1)."""
    start = data.index(b"\xff\x4f\xff\x51")
    (count,) = struct.unpack(">H", data[start + 40 : start + 42])
    changed = bytearray(data)
    for i in range(count):
        changed[start + 42 + 3 * i] = bits - 1
    return bytes(changed)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("wrapped", [True, False], ids=["jp2", "code stream"])
def test_jpeg_2000_in_colour_keeps_white_white_at_every_depth(bits, wrapped):
    white = (1 << bits) - 1
    samples = np.rint(COLOURS / 255 * white).astype(np.uint8 if bits == 8 else np.uint16)
    data = jp2(samples) if bits in (8, 16) else with_depth(jp2(samples + (1 << 15) - (1 << bits - 1)), bits)
    photo = Photo.from_bytes(data if wrapped else code_stream(data))
    assert np.abs(photo.rgb.astype(int) - COLOURS).max() <= 1


def test_jpeg_2000_of_16_bits_with_alpha():
    rgba = np.dstack([COLOURS, np.full(COLOURS.shape[:2], 255, np.uint8)])
    rgba[:, :10, 3] = 0
    data = jp2(rgba.astype(np.uint16) * 257)
    # OpenCV writes four channels without saying that the last is alpha; Pillow takes it for that too.
    rgb = Photo.from_bytes(data).rgb
    assert (rgb[:, :10] == 128).all() and np.abs(rgb[:, 10:].astype(int) - COLOURS[:, 10:]).max() <= 1


def test_jpeg_2000_of_16_bit_grey_keeps_its_depth():
    ramp = np.linspace(0, 65535, 3072).astype(np.uint16).reshape(48, 64)
    photo = Photo.from_bytes(jp2(ramp[..., None]))
    assert len(np.unique(photo.L)) > 1000 and photo.L[0, 0] == 0 and photo.L[-1, -1] > 99.9


@pytest.mark.parametrize("side", [80, 30_000])
def test_the_limit_of_jpeg_2000_is_that_of_its_code_stream(side):
    data = bytearray(jp2(COLOURS.astype(np.uint16) * 257))
    start = data.index(b"\xff\x4f\xff\x51")
    data[start + 8 : start + 16] = struct.pack(">2I", side, side)
    with pytest.raises(ImageRejected):
        Photo.from_bytes(bytes(data), max_megapixels=0.004)


@pytest.mark.parametrize("cut", [0.3, 0.6])
def test_half_a_jpeg_2000_of_16_bits_opens_or_is_refused_in_one_line(cut):
    data = jp2(COLOURS.astype(np.uint16) * 257)
    try:
        Photo.from_bytes(data[: int(len(data) * cut)])
    except ImageRejected as error:
        assert "\n" not in str(error)


def test_jpeg_2000_with_signed_samples_of_16_bits_is_refused_as_such():
    data = bytearray(jp2(COLOURS.astype(np.uint16) * 257))
    start = data.index(b"\xff\x4f\xff\x51")
    for i in range(3):
        data[start + 42 + 3 * i] |= 0x80
    with pytest.raises(ImageRejected, match="JPEG 2000 of a kind that is not read: 3 channels of 16 bits"):
        Photo.from_bytes(bytes(data))


# JPEG without its end -------------------------------------------------------------------------------------------


def jpegs() -> dict[str, bytes]:
    image = Image.fromarray(COLOURS)
    return {
        "grey": encode(image.convert("L"), "JPEG"),
        "colour": encode(image, "JPEG"),
        "progressive": encode(image, "JPEG", progressive=True),
        "restarts": encode(image, "JPEG", restart_marker_blocks=2),
        "cmyk": encode(image.convert("CMYK"), "JPEG"),
    }


@pytest.mark.parametrize("kind", jpegs())
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_marker_opens_whole(kind, missing):
    data = jpegs()[kind]
    assert data.endswith(b"\xff\xd9")
    assert np.array_equal(Photo.from_bytes(data[:-missing]).rgb, Photo.from_bytes(data).rgb)


@pytest.mark.parametrize("kind", jpegs())
@pytest.mark.parametrize("missing", [5, 40, 300])
def test_a_jpeg_that_lacks_pixels_is_refused(kind, missing):
    with pytest.raises(ImageRejected, match="damaged or incomplete"):
        Photo.from_bytes(jpegs()[kind][:-missing])


@pytest.mark.parametrize(("fmt", "missing"), [("PNG", 12), ("GIF", 1)])
def test_other_formats_open_without_their_end_marks_too(fmt, missing):
    data = encode(Image.fromarray(COLOURS).convert("P"), fmt)
    assert np.array_equal(Photo.from_bytes(data[:-missing]).rgb, Photo.from_bytes(data).rgb)


# HEIC and other formats -----------------------------------------------------------------------------------------


@needs("pi_heif")
def test_a_heic_picture_opens():
    photo = Photo.open(EXAMPLE)
    assert photo.size == (64, 48)
    assert np.abs(photo.rgb.astype(int) - COLOURS).mean() < 6


@needs("pi_heif")
def test_the_limit_holds_for_heic_and_half_a_file_is_refused():
    with pytest.raises(ImageRejected, match="megapixels"):
        Photo.open(EXAMPLE, max_megapixels=0.001)
    with pytest.raises(ImageRejected, match="damaged or incomplete"):
        Photo.from_bytes(EXAMPLE.read_bytes()[:-200])


@pytest.mark.parametrize("brand", ["heic", "heix", "mif1", "hevc"])
def test_without_its_decoder_heic_is_named_with_what_to_do(brand, monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(formats, "_add_heif", formats._add_heif.__wrapped__)
    data = b"\0\0\0\x18ftyp" + brand.encode() + EXAMPLE.read_bytes()[12:]
    with pytest.raises(ImageRejected, match=r"HEIC picture.*pip install 'livetint\[heif\]'.* or export it as JPEG"):
        Photo.from_bytes(data)


def test_without_its_decoder_avif_is_named(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    with pytest.raises(ImageRejected, match="AVIF picture, which this version of Pillow does not read"):
        Photo.from_bytes(b"\0\0\0\x18ftypavif\0\0\0\0" + bytes(60))


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"%PDF-1.7", "PDF"), (b"8BPS\0\1", "Photoshop"), (b"\xff\x0a\0\0", "JPEG XL"), (b"v/1\x01\2\0\0\0", "OpenEXR")],
)
def test_well_known_files_that_are_no_photographs_are_named(start, name):
    with pytest.raises(ImageRejected, match=f"is a {name} file, not a picture in a known format; give a JPEG"):
        Photo.from_bytes(start + bytes(100))


def test_heif_is_imported_for_heic_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(Image.fromarray(COLOURS), "PNG"))
    code = (
        "import sys; from livetint.engine.image.photo import Photo; Photo.open(sys.argv[1]);"
        "sys.exit('pi_heif' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], env=os.environ).returncode == 0


# PNG in grey with alpha, 16 bits each ---------------------------------------------------------------------------


def png_grey_alpha16(grey: np.ndarray, alpha: np.ndarray) -> bytes:
    """A PNG of colour type 4 with 16 bits: what neither Pillow nor OpenCV writes."""
    height, width = grey.shape
    rows = np.stack([grey, alpha], -1).astype(">u2")
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_png_of_16_bit_grey_with_alpha_keeps_its_depth_and_its_alpha():
    grey = np.linspace(20_000, 20_400, 64 * 48).reshape(48, 64).astype(np.uint16)
    alpha = np.full_like(grey, 65535)
    alpha[:10] = 0
    photo = Photo.from_bytes(png_grey_alpha16(grey, alpha))
    assert len(np.unique(photo.L[10:])) > 300, "8 bits would leave two or three levels"
    assert photo.alpha is not None and not photo.alpha[:10].any() and (photo.alpha[10:] == 255).all()
    assert len(np.unique(photo.L[:10])) == 1, "transparent parts lie over mid-grey"
    opaque = Photo.from_bytes(png_grey_alpha16(grey, np.full_like(grey, 65535)))
    np.testing.assert_array_equal(opaque.L[10:], photo.L[10:])
    assert opaque.alpha is None


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_half_a_png_of_16_bit_grey_with_alpha_is_refused_in_one_line(part: float):
    noise = np.random.default_rng(1).integers(0, 65536, (48, 64)).astype(np.uint16)
    data = png_grey_alpha16(noise, noise)
    with pytest.raises(ImageRejected, match="damaged or incomplete"):
        Photo.from_bytes(data[: int(part * len(data))])
