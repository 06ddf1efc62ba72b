"""Putting metadata into encoded pictures (JPEG, PNG, TIFF, WebP), whichever encoder wrote them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from .exif import Directories
from .iptc import as_resource

_TIFF_HEADER_BYTES = 8
_JPEG_SEGMENT_BYTES = 65_533
_XMP_TAG, _IPTC_TAG, _ICC_TAG = 700, 33723, 34675
_SAMPLES_TAG, _EXTRA_TAG = 277, 338
_BYTE, _SHORT, _UNDEFINED = 1, 3, 7
_UNASSOCIATED_ALPHA = 2
_WEBP_FLAGS = {b"ICCP": 0x20, b"ALPH": 0x10, b"EXIF": 0x08, b"XMP ": 0x04}


@dataclass(frozen=True)
class Blocks:
    """What goes into a file. exif: its directories. resolution: dots per inch, x and y. profile: an ICC profile for
    encoders that write none, b"" for the others."""

    exif: Directories
    xmp: bytes
    iptc: bytes
    comment: bytes
    resolution: tuple[float, float] | None
    profile: bytes = b""


def insert(data: bytes, extension: str, blocks: Blocks) -> bytes:
    """The picture `data` in the format of `extension` (".jpg", ...) with `blocks`. Its pixels stay as they are."""
    return _WRITERS[extension.lower()](data, blocks)


def _exif(blocks: Blocks) -> bytes:
    """The directories behind a TIFF header of their own."""
    return b"II*\0\x08\0\0\0" + blocks.exif.tobytes(_TIFF_HEADER_BYTES)


def _jpeg(data: bytes, blocks: Blocks) -> bytes:
    at = 2
    head = data[:at]
    if data[2:4] == b"\xff\xe0":  # JFIF comes first
        at += 2 + int.from_bytes(data[4:6], "big")
        head = data[:at]
        if blocks.resolution:
            density = struct.pack(">BHH", 1, *(min(65535, round(dpi)) for dpi in blocks.resolution))
            head = head[:13] + density + head[18:]
    head += _segment(0xE1, b"Exif\0\0" + _exif(blocks)) + _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + blocks.xmp)
    if blocks.iptc:
        head += _segment(0xED, b"Photoshop 3.0\0" + as_resource(blocks.iptc))
    if blocks.comment:
        head += _segment(0xFE, blocks.comment)
    return head + data[at:]


def _segment(marker: int, content: bytes) -> bytes:
    """A JPEG segment, b"" where it cannot hold the content."""
    if len(content) > _JPEG_SEGMENT_BYTES:
        return b""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _png(data: bytes, blocks: Blocks) -> bytes:
    chunks = b""
    if blocks.profile:
        chunks += _chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(blocks.profile))
    if blocks.resolution:
        per_metre = (round(dpi / 0.0254) for dpi in blocks.resolution)
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    chunks += _chunk(b"eXIf", _exif(blocks))
    chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + blocks.xmp)
    if blocks.iptc:
        resource = as_resource(blocks.iptc)
        text = b"\niptc\n%8d\n" % len(resource) + resource.hex().encode() + b"\n"
        chunks += _chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text))
    at = 8
    while data[at + 4 : at + 8] != b"IDAT":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return data[:at] + chunks + data[at:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _webp(data: bytes, blocks: Blocks) -> bytes:
    chunks: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    old = dict(chunks)
    chunks = [(kind, content) for kind, content in chunks if kind != b"VP8X"]
    chunks += [(b"EXIF", _exif(blocks)), (b"XMP ", blocks.xmp)]
    flags = (old[b"VP8X"][0] if b"VP8X" in old else 0) | sum({_WEBP_FLAGS.get(kind, 0) for kind, _ in chunks})
    width, height = blocks.exif.size
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks.insert(0, (b"VP8X", bytes([flags, 0, 0, 0]) + canvas))
    body = b"".join(kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for kind, part in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _tiff(data: bytes, blocks: Blocks) -> bytes:
    """The first IFD is written anew behind the file, with the metadata; its strips stay where they are."""
    big_endian = data[:2] == b"MM"
    order = ">" if big_endian else "<"
    data += b"\0" * (len(data) % 2)
    own = blocks.exif.tobytes(len(data), big_endian=big_endian)
    entries = _entries(data, int.from_bytes(data[4:8], "big" if big_endian else "little"), order)
    entries |= _entries(data + own, len(data), order)
    data += own + b"\0" * (len(own) % 2)
    if _SAMPLES_TAG in entries and _EXTRA_TAG not in entries:
        (samples,) = struct.unpack(order + "H", entries[_SAMPLES_TAG][8:10])
        if samples == 4:  # OpenCV does not say that the fourth one is alpha
            entries[_EXTRA_TAG] = struct.pack(order + "HHIHH", _EXTRA_TAG, _SHORT, 1, _UNASSOCIATED_ALPHA, 0)
    for tag, kind, content in (
        (_XMP_TAG, _BYTE, blocks.xmp),
        (_IPTC_TAG, _UNDEFINED, blocks.iptc),
        (_ICC_TAG, _UNDEFINED, blocks.profile),
    ):
        if content:
            entries[tag] = struct.pack(order + "HHII", tag, kind, len(content), len(data))
            data += content + b"\0" * (len(content) % 2)
    table = struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + table


def _entries(data: bytes, at: int, order: str) -> dict[int, bytes]:
    """The entries of the IFD at `at`, as they are, by tag."""
    (count,) = struct.unpack(order + "H", data[at : at + 2])
    found = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    return {struct.unpack(order + "H", entry[:2])[0]: entry for entry in found}


_WRITERS: dict[str, Callable[[bytes, Blocks], bytes]] = {
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".png": _png,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".webp": _webp,
}
