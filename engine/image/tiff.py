"""TIFF files: which of their pages is the picture, and the samples that Pillow does not read.

Pillow refuses half and double floats, floats in colour, grey of 16 bits with alpha and CIELAB of 16 bits, and misreads
planes of 16 bits. These are read here. Compressed strips and tiles are unpacked by libtiff in Pillow, as pictures of
bytes.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from ..errors import ImageRejected
from .convert import WHITE_16, Deep, guess_range, scale_to_16_bits
from .formats import RAW_ADVICE, is_raw
from .pillow import DECODER_ERRORS, pillow_limited_to

MAX_PAGES = 64
BIG_TIFF = 43

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION = 254, 255, 256, 257, 258, 259
_PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _ORIENTATION, _SAMPLES = 262, 266, 273, 274, 277
_STRIP_ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _SUB_PAGES = 322, 323, 324, 325, 330
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE = 338, 339, 34675

_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_PLAIN, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS, _LZMA, _ZSTD = 1, 5, 8, 32946, 32773, 34925, 50000
_UNPACKED_BY_PILLOW = (_PLAIN, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS, _LZMA, _ZSTD)
# Colour filter arrays and linear raw; compressions of Nikon, Sony and Pentax.
_RAW_PHOTOMETRIC, _RAW_COMPRESSIONS = (32803, 34892), (34713, 32767, 65535)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED, _CIELAB, _ICCLAB = 0, 1, 2, 5, 8, 9
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _SEPARATED: 4, _CIELAB: 3, _ICCLAB: 3}
_SPACES: dict[int, Literal["GRAY", "RGB", "CMYK", "LAB"]] = {
    _WHITE_IS_ZERO: "GRAY", _BLACK_IS_ZERO: "GRAY", _RGB: "RGB", _SEPARATED: "CMYK", _CIELAB: "LAB", _ICCLAB: "LAB",
}  # fmt: skip
_ASSOCIATED, _SEPARATE_PLANES = 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_SHORT, _UNUSED_TAG = 3, 65000
_MAX_SAMPLES = 8
# Numbers in a tile that reaches beyond the picture.
_TILE_MARGIN = 1 << 22
_NO_PREDICTOR, _DIFFERENCES, _FLOAT_DIFFERENCES = 1, 2, 3


@dataclass(frozen=True)
class Page:
    """One page of a TIFF file. index: 0 for the first. offset: of its directory. order: "<" or ">", that of bytes."""

    index: int
    offset: int
    order: str
    tags: dict[int, Any]

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return next(iter(self.numbers(tag)), default)

    def numbers(self, tag: int) -> tuple[int, ...]:
        """All values of a tag."""
        value = self.tags.get(tag, ())
        return tuple(v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, int))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.number(_WIDTH, 0), self.number(_HEIGHT, 0)

    @property
    def samples(self) -> int:
        return self.number(_SAMPLES, 1)

    @property
    def bits(self) -> int:
        return max(self.numbers(_BITS), default=1)

    @property
    def sample_format(self) -> int:
        return self.number(_SAMPLE_FORMAT, _UNSIGNED)

    @property
    def photometric(self) -> int:
        return self.number(_PHOTOMETRIC, _BLACK_IS_ZERO)

    @property
    def orientation(self) -> int:
        """EXIF orientation, 1 where there is none."""
        return self.number(_ORIENTATION, 1)

    @property
    def profile(self) -> bytes | None:
        """The ICC profile."""
        value = self.tags.get(_PROFILE)
        return value if isinstance(value, bytes) else None

    @property
    def is_whole(self) -> bool:
        """Whether it is neither a smaller copy of another page nor a mask."""
        reduced = self.number(_SUBFILE_TYPE, 0) & (_REDUCED | _MASK)
        return not reduced and self.number(_OLD_SUBFILE_TYPE, 0) != _OLD_REDUCED

    @property
    def is_raw(self) -> bool:
        """Whether it holds the numbers of a camera's sensor."""
        return self.photometric in _RAW_PHOTOMETRIC or self.number(_COMPRESSION, _PLAIN) in _RAW_COMPRESSIONS

    @property
    def is_beyond_pillow(self) -> bool:
        """Whether Pillow refuses or misreads its samples."""
        if self.photometric == _ICCLAB:
            return True
        is_float = self.sample_format == _FLOAT
        return self.bits > 8 and (self.samples > 1 or self.bits == 64 or (is_float and self.bits != 32))


def picture_page(stream: BinaryIO, name: str) -> Page | None:
    """The largest page that is not marked as reduced, or None where no page can be found.

    Raises ImageRejected where that page, or the whole file, is raw.
    """
    stream.seek(0)
    head = stream.read(16)
    pages = [page for page in _pages(stream, head) if all(page.size)]
    whole = [page for page in pages if page.is_whole] or pages
    page = max(whole, key=lambda page: page.size[0] * page.size[1], default=None)
    if is_raw(head) or (page is not None and page.is_raw):
        raise ImageRejected(f"{name} {RAW_ADVICE}")
    return page


def _pages(stream: BinaryIO, head: bytes) -> Iterator[Page]:
    """The pages of a file in order, each followed by those below it (previews, reduced copies, raw data)."""
    if head[2:4] not in (b"\x2b\0", b"\0\x2b"):
        head = head[:8]
    start = TiffImagePlugin.ImageFileDirectory_v2(head)
    order = "<" if head[:2] == b"II" else ">"
    queue, seen = [start.next], set()
    while queue and len(seen) < MAX_PAGES:
        offset = queue.pop(0)
        if offset in seen or not offset:
            continue
        seen.add(offset)
        directory = TiffImagePlugin.ImageFileDirectory_v2(head)
        directory.next = 0
        try:
            stream.seek(offset)
            directory.load(stream)
            page = Page(len(seen) - 1, offset, order, {tag: directory[tag] for tag in directory if tag in _READ})
        except DECODER_ERRORS:  # a damaged page does not hide the others
            continue
        yield page
        queue = [*page.numbers(_SUB_PAGES), *queue, directory.next]


_READ = frozenset(
    {
        *(_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER),
        *(_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR, _TILE_WIDTH),
        *(_TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _SUB_PAGES, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE),
    }
)


def at_page(stream: BinaryIO, page: Page) -> BinaryIO:
    """A copy of the file, in memory, whose first page is `page`."""
    stream.seek(0)
    data = bytearray(stream.read())
    if BIG_TIFF in data[2:4]:
        data[8:16] = struct.pack(f"{page.order}Q", page.offset)
    else:
        data[4:8] = struct.pack(f"{page.order}I", page.offset)
    return io.BytesIO(bytes(data))


def for_metadata(stream: BinaryIO) -> BinaryIO:
    """A TIFF file whose first page is the picture, with a header that Pillow reads: for its metadata, not its pixels.

    The file itself where that is so already; else a copy in memory, whose page claims to be grey of 8 bits.
    """
    try:
        page = picture_page(stream, "")
    except ImageRejected:
        page = None
    if page is None or not (page.index or page.is_beyond_pillow):
        return stream
    copy = at_page(stream, page)
    return _claiming_grey(copy.read(), page) if page.is_beyond_pillow else copy


def _claiming_grey(file: bytes, page: Page) -> BinaryIO:
    """The file with the tags of `page` that describe its samples changed in place to those of 8-bit grey."""
    data, is_big = bytearray(file), BIG_TIFF in file[2:4]
    word, size, at = ("Q", 20, page.offset + 8) if is_big else ("I", 12, page.offset + 2)
    (count,) = struct.unpack_from(f"{page.order}{'Q' if is_big else 'H'}", data, page.offset)
    claims = {_BITS: 8, _COMPRESSION: _PLAIN, _PHOTOMETRIC: _BLACK_IS_ZERO, _SAMPLES: 1, _PLANAR: 1}
    for place in range(at, at + size * count, size):
        (tag,) = struct.unpack_from(f"{page.order}H", data, place)
        if tag in claims:
            value = struct.pack(f"{page.order}H", claims[tag]).ljust(size - 4 - struct.calcsize(word), b"\0")
            data[place : place + size] = struct.pack(f"{page.order}HH{word}", tag, _SHORT, 1) + value
        elif tag in (_EXTRA_SAMPLES, _SAMPLE_FORMAT):
            struct.pack_into(f"{page.order}H", data, place, _UNUSED_TAG)
    return io.BytesIO(bytes(data))


# Samples -----------------------------------------------------------------------------------------------------


def read_deep(stream: BinaryIO, page: Page, name: str) -> Deep:
    """The samples of a page that is beyond Pillow. Raises ImageRejected for kinds that are not read here either.

    The caller has checked its size. Damaged data raise OSError or ValueError.
    """
    channels, is_lab = _CHANNELS.get(page.photometric, 0), page.photometric in (_CIELAB, _ICCLAB)
    widths = {_UNSIGNED: (8, 16) if is_lab else (8, 16, 32), _SIGNED: () if is_lab else (8, 16, 32)}
    widths[_FLOAT] = () if is_lab else (16, 32, 64)
    readable = (
        0 < channels <= page.samples <= _MAX_SAMPLES
        and set(page.numbers(_BITS)) == {page.bits}
        and page.bits in widths.get(page.sample_format, ())
        and page.number(_COMPRESSION, _PLAIN) in _UNPACKED_BY_PILLOW
        and page.number(_PREDICTOR, _NO_PREDICTOR) in (_NO_PREDICTOR, _DIFFERENCES, _FLOAT_DIFFERENCES)
    )
    if not readable:
        raise ImageRejected(
            f"{name} is a TIFF of a kind that is not read: {page.samples} samples of {page.bits} bits, compression "
            f"{page.number(_COMPRESSION, _PLAIN)}; save it as RGB or grey with 8 or 16 bits"
        )
    samples = _samples(stream, page)
    extra = next(iter(page.numbers(_EXTRA_SAMPLES)), 0) if page.samples > channels else 0
    return _deep(page, samples[..., :channels], samples[..., channels] if extra else None, extra == _ASSOCIATED)


def _deep(page: Page, colours: NDArray, alpha: NDArray | None, is_associated: bool) -> Deep:
    """Scale samples to 16 bits. `alpha` as stored; is_associated: colours are multiplied by it."""
    notes: tuple[str, ...] = ()
    high = float((1 << min(page.bits, 16)) - 1)
    if _SPACES[page.photometric] == "LAB":
        scaled = _lab(colours, page)
    elif page.sample_format == _UNSIGNED and page.bits <= 16:
        scaled = colours if page.bits == 16 else colours.astype(np.uint16) * 257
    else:
        low, high, notes = guess_range(colours)
        scaled = scale_to_16_bits(colours, low, high)
    opacity = None if alpha is None else scale_to_16_bits(alpha, 0.0, high)
    if opacity is not None and is_associated:
        share = np.maximum(opacity, 1)[..., None] / np.float32(WHITE_16)
        scaled = np.minimum(np.rint(scaled / share), WHITE_16).astype(np.uint16)
    if page.photometric == _WHITE_IS_ZERO:
        scaled = np.subtract(WHITE_16, scaled, dtype=np.uint16)
    return Deep(_SPACES[page.photometric], scaled, opacity, notes)


def _lab(colours: NDArray, page: Page) -> NDArray[np.uint16]:
    """CIELAB of 8 or 16 bits → that of `Deep`. In CIELab a and b are signed; in ICCLab of 16 bits white is 0xFF00."""
    if page.bits == 8:
        shift = (0, 128, 128) if page.photometric == _CIELAB else (0, 0, 0)
        return (colours ^ np.array(shift, np.uint8)).astype(np.uint16) * 257
    lab = np.empty(colours.shape, np.uint16)
    is_icc = page.photometric == _ICCLAB
    lightness = colours[..., 0].astype(np.uint32)
    lab[..., 0] = np.minimum(lightness * WHITE_16 // 0xFF00, WHITE_16) if is_icc else lightness
    offset = (colours[..., 1:] if is_icc else colours[..., 1:] ^ np.uint16(0x8000)).astype(np.uint32)
    lab[..., 1:] = np.minimum(offset * 257 // 256, WHITE_16)
    return lab


def _samples(stream: BinaryIO, page: Page) -> NDArray:
    """All samples [H, W, samples] in the order of this machine; half and double floats as float32."""
    width, height = page.size
    kind = {_UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f"}[page.sample_format]
    stored = np.dtype(f"{page.order}{kind}{page.bits // 8}")
    samples = np.zeros((height, width, page.samples), np.float32 if kind == "f" else stored.newbyteorder("="))
    stream.seek(0, io.SEEK_END)
    end = stream.tell()
    for rows, columns, planes, offset, size in _chunks(page):
        shape = (rows.stop - rows.start, columns.stop - columns.start, planes.stop - planes.start)
        if math.prod(shape) > samples.size + _TILE_MARGIN:
            raise ValueError("a strip or tile is larger than the picture")
        if offset + size > end:
            raise OSError("the file ends before its pixels do")
        stream.seek(offset)
        part = _unpredicted(_unpacked(stream.read(size), page, shape, stored.itemsize), page, shape, stored)
        with np.errstate(over="ignore"):
            samples[rows, columns, planes] = part[: height - rows.start, : width - columns.start]
    return samples


def _chunks(page: Page) -> Iterator[tuple[slice, slice, slice, int, int]]:
    """Rows, columns, samples, offset and bytes of every strip or tile. Those of tiles may reach beyond the picture."""
    width, height = page.size
    is_tiled = _TILE_WIDTH in page.tags
    step_x = page.number(_TILE_WIDTH, 0) if is_tiled else width
    step_y = page.number(_TILE_HEIGHT, 0) if is_tiled else min(page.number(_STRIP_ROWS, height), height)
    if step_x < 1 or step_y < 1:
        raise ValueError("strips or tiles of an impossible size")
    planes = [slice(0, page.samples)]
    if page.number(_PLANAR, 1) == _SEPARATE_PLANES:
        planes = [slice(i, i + 1) for i in range(page.samples)]
    offsets = page.numbers(_TILE_OFFSETS if is_tiled else _STRIP_OFFSETS)
    sizes = page.numbers(_TILE_BYTES if is_tiled else _STRIP_BYTES)
    count = len(planes) * -(-height // step_y) * -(-width // step_x)
    if min(len(offsets), len(sizes)) < count:
        raise ValueError("some strips or tiles are missing")
    places = itertools.product(planes, range(0, height, step_y), range(0, width, step_x))
    for (plane, y, x), offset, size in zip(places, offsets, sizes, strict=False):
        bottom = y + step_y if is_tiled else min(y + step_y, height)
        yield slice(y, bottom), slice(x, x + step_x), plane, offset, size


def _unpacked(data: bytes, page: Page, shape: tuple[int, int, int], sample_bytes: int) -> NDArray[np.uint8]:
    """The bytes of a strip or tile of `shape` (rows, columns, samples), uint8 [rows, bytes of a row]."""
    rows, row_bytes = shape[0], shape[1] * shape[2] * sample_bytes
    compression, fill_order = page.number(_COMPRESSION, _PLAIN), page.number(_FILL_ORDER, 1)
    if compression == _PLAIN and fill_order == 1:
        if len(data) < rows * row_bytes:
            raise OSError("a strip or tile is too short")
        return np.frombuffer(data, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    packed = _bytes_as_tiff(data, row_bytes, rows, compression, fill_order)
    with pillow_limited_to(rows * row_bytes), Image.open(packed, formats=["TIFF"]) as image:
        return np.array(image)


def _bytes_as_tiff(data: bytes, width: int, height: int, compression: int, fill_order: int) -> io.BytesIO:
    """A compressed strip as a grey TIFF of 8 bits, `width` bytes in a row."""
    tags = {
        _WIDTH: width, _HEIGHT: height, _BITS: 8, _COMPRESSION: compression, _PHOTOMETRIC: _BLACK_IS_ZERO,
        _FILL_ORDER: fill_order, _STRIP_OFFSETS: 8, _SAMPLES: 1, _STRIP_ROWS: height, _STRIP_BYTES: len(data),
    }  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags.items())
    padding = bytes(len(data) % 2)
    header = struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(padding))
    return io.BytesIO(header + data + padding + directory + bytes(4))


def _unpredicted(packed: NDArray[np.uint8], page: Page, shape: tuple[int, int, int], stored: np.dtype) -> NDArray:
    """Samples `shape` of unpacked bytes: the predictor, which stores differences along each row, is undone."""
    predictor = page.number(_PREDICTOR, _NO_PREDICTOR)
    compressed = page.number(_COMPRESSION, _PLAIN) != _PLAIN
    if not compressed or predictor == _NO_PREDICTOR:
        return packed.view(stored).reshape(shape)
    if predictor == _DIFFERENCES:
        whole = np.dtype(f"{page.order}u{stored.itemsize}")
        sums = np.cumsum(packed.view(whole).reshape(shape), axis=1, dtype=whole.newbyteorder("="))
        return sums.view(stored.newbyteorder("="))
    # Differences of bytes, and within a row first the highest byte of every number, then the next.
    step = shape[2]
    sums = np.cumsum(packed.reshape(shape[0], -1, step), axis=1, dtype=np.uint8)
    bytes_apart = sums.reshape(shape[0], stored.itemsize, shape[1] * step)
    together = np.ascontiguousarray(bytes_apart.transpose(0, 2, 1))
    return together.view(stored.newbyteorder(">")).reshape(shape)
