"""Picture files made in memory for tests of decoding. Some are broken or have false headers."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encode(image: Image.Image, fmt: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def colour_picture(width: int = 24, height: int = 16) -> np.ndarray:
    """A smooth uint8 [height, width, 3] picture with four distinct corners."""
    x = np.linspace(0, 1, width)[None, :, None]
    y = np.linspace(0, 1, height)[:, None, None]
    corners = np.array([[[220, 30, 40], [40, 200, 60]], [[30, 60, 210], [230, 220, 120]]], float)
    top = corners[0, 0] * (1 - x) + corners[0, 1] * x
    bottom = corners[1, 0] * (1 - x) + corners[1, 1] * x
    return np.rint(top * (1 - y) + bottom * y).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_zeros(width: int, height: int) -> bytes:
    """A valid 8-bit grey PNG of any size, of about a thousandth of a byte per pixel."""
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png_header(width, height) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def tiff(width: int, height: int, data: bytes, **tags: int) -> bytes:
    """A little-endian, uncompressed, one-strip grey TIFF (tags: bits, photometric, sample_format)."""
    entries = {
        256: width,
        257: height,
        258: tags.get("bits", 16),
        259: 1,
        262: tags.get("photometric", 1),
        273: 0,
        277: 1,
        278: height,
        279: len(data),
        339: tags.get("sample_format", 1),
    }
    start = 8 + 2 + 12 * len(entries) + 4
    entries[273] = start
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + data


def icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC v2 display profile."""
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI", start + len(body), b"", 0x02400000) + b"mntr" + space + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def xyz_tag(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(v * 65536) for v in (x, y, z)))


def grey_profile(gamma: float) -> bytes:
    return icc_profile(b"GRAY", {b"wtpt": xyz_tag(0.9642, 1, 0.8249), b"kTRC": gamma_curve(gamma)})


def swapped_rgb_profile() -> bytes:
    """A profile with sRGB's primaries, red and green exchanged, and gamma 2.2: its effect is large."""
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    tags = {b"wtpt": xyz_tag(0.9642, 1, 0.8249)}
    for name, xyz in ((b"r", green), (b"g", red), (b"b", blue)):
        tags[name + b"XYZ"] = xyz_tag(*xyz)
        tags[name + b"TRC"] = gamma_curve(2.2)
    return icc_profile(b"RGB ", tags)
