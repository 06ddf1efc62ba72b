"""A writer of TIFF files that Pillow cannot write: any samples, in strips, tiles or planes, on several pages."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

PLAIN, LZW, DEFLATE, PACK_BITS = 1, 5, 8, 32773
GREY, RGB, CMYK, CIELAB, ICCLAB, FILTER_ARRAY = 1, 2, 5, 8, 9, 32803
ASSOCIATED, UNASSOCIATED = 1, 2
_PILLOWS_NAMES = {LZW: "tiff_lzw", PACK_BITS: "packbits"}


@dataclass
class PageToWrite:
    """samples [H, W, C]. tile: (width, height) of tiles, else strips of `strip_rows`. sub: pages below this one."""

    samples: NDArray
    photometric: int = GREY
    compression: int = PLAIN
    predictor: int = 1
    planar: bool = False
    tile: tuple[int, int] | None = None
    strip_rows: int = 7
    extra: tuple[int, ...] = ()
    subfile: int = 0
    tags: dict[int, int] = field(default_factory=dict)
    sub: tuple[PageToWrite, ...] = ()


def write_tiff(*pages: PageToWrite, order: str = "<", big: bool = False) -> bytes:
    """A TIFF (or BigTIFF) file with these pages."""
    word = "Q" if big else "I"
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else mark + struct.pack(f"{order}HI", 42, 0)
    data = bytearray(head)

    def put(page: PageToWrite, following: int) -> int:
        """Append a page and those below it; return where its directory is."""
        below = [put(child, 0) for child in page.sub]
        tags = _tags(page) | ({330: below} if below else {})
        chunks = _chunks(page, order)
        places = []
        for chunk in chunks:
            places.append(len(data))
            data.extend(chunk + bytes(len(chunk) % 2))
        tags |= {324 if page.tile else 273: places, 325 if page.tile else 279: [len(chunk) for chunk in chunks]}
        entries = b""
        for tag, values in sorted(tags.items()):
            kind = word if tag in (273, 279, 324, 325, 330) else "I"
            body = struct.pack(f"{order}{len(values)}{kind}", *values)
            if len(body) > struct.calcsize(word):
                place = len(data)
                data.extend(body + bytes(len(body) % 2))
                body = struct.pack(f"{order}{word}", place)
            entries += struct.pack(f"{order}HH{word}", tag, 16 if kind == "Q" else 4, len(values))
            entries += body.ljust(struct.calcsize(word), b"\0")
        place = len(data)
        count = struct.pack(f"{order}{'Q' if big else 'H'}", len(tags))
        data.extend(count + entries + struct.pack(f"{order}{word}", following))
        return place

    following = 0
    for page in reversed(pages):
        following = put(page, following)
    data[len(head) - struct.calcsize(word) : len(head)] = struct.pack(f"{order}{word}", following)
    return bytes(data)


def _tags(page: PageToWrite) -> dict[int, list[int]]:
    height, width, count = page.samples.shape
    kind = {"u": 1, "i": 2, "f": 3}[page.samples.dtype.kind]
    tags = {
        254: [page.subfile], 256: [width], 257: [height], 258: [page.samples.dtype.itemsize * 8] * count,
        259: [page.compression], 262: [page.photometric], 277: [count], 284: [2 if page.planar else 1],
        317: [page.predictor], 339: [kind] * count,
    }  # fmt: skip
    if page.extra:
        tags[338] = list(page.extra)
    tags |= {322: [page.tile[0]], 323: [page.tile[1]]} if page.tile else {278: [page.strip_rows]}
    return tags | {tag: [value] for tag, value in page.tags.items()}


def _chunks(page: PageToWrite, order: str) -> list[bytes]:
    height, width, count = page.samples.shape
    planes = [page.samples[..., i : i + 1] for i in range(count)] if page.planar else [page.samples]
    chunks = []
    for plane in planes:
        if page.tile:
            across, down = page.tile
            padded = np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0)))
            parts = [
                padded[y : y + down, x : x + across] for y in range(0, height, down) for x in range(0, width, across)
            ]
        else:
            parts = [plane[y : y + page.strip_rows] for y in range(0, height, page.strip_rows)]
        chunks += [_packed(_predicted(part, page.predictor, order), page.compression) for part in parts]
    return chunks


def _predicted(part: NDArray, predictor: int, order: str) -> NDArray[np.uint8]:
    """The bytes of a strip or tile, uint8 [rows, bytes of a row]."""
    size = part.dtype.itemsize
    if predictor == 3:
        rows, columns, count = part.shape
        high_first = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(">"))).view(np.uint8)
        apart = high_first.reshape(rows, columns * count, size).transpose(0, 2, 1).reshape(rows, -1, count)
        return np.diff(apart, axis=1, prepend=np.zeros((rows, 1, count), np.uint8)).reshape(rows, -1)
    whole = np.ascontiguousarray(part).view(f"u{size}")
    if predictor == 2:
        whole = np.diff(whole, axis=1, prepend=np.zeros((len(part), 1, part.shape[2]), whole.dtype))
    return np.ascontiguousarray(whole.astype(f"{order}u{size}")).view(np.uint8).reshape(len(part), -1)


def _packed(rows: NDArray[np.uint8], compression: int) -> bytes:
    if compression == PLAIN:
        return rows.tobytes()
    if compression == DEFLATE:
        return zlib.compress(rows.tobytes())
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, "TIFF", compression=_PILLOWS_NAMES[compression], tiffinfo={278: len(rows)})
    with Image.open(buffer) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        (start,), (size,) = image.tag_v2[273], image.tag_v2[279]
    return buffer.getvalue()[start : start + size]
