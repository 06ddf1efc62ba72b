"""The formats that photographs may have, and what is said of a file in another one."""

from __future__ import annotations

import contextlib
import functools
import importlib

from PIL import Image

# By their names in Pillow, which opens no other. HEIF needs the extra `heif`.
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM", "HEIF")
FORMATS_IN_WORDS = "JPEG, PNG, TIFF, WebP, AVIF, JPEG 2000, GIF, BMP or PPM"
# Extensions of files that may be photographs to show or to colour.
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".j2k", ".jpf", ".jpx"),
    *(".gif", ".bmp", ".ppm", ".pgm", ".pnm", ".heic", ".heif", ".hif"),
)
# Pictures of other kinds, whose owners expect to hear why they are left out.
OTHER_EXTENSIONS = (
    *(".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".psd", ".psb", ".xcf"),
    *(".jxl", ".exr", ".svg", ".pdf"),
)
# So much of a file's start tells its format.
HEAD_BYTES = 64

RAW_ADVICE = "is a camera raw file; develop it with the camera's program and save it as TIFF or JPEG"
_HEIC_ADVICE = (
    "is a HEIC picture, as phones take them; install its decoder (pip install 'livetint[heif]') or export it as JPEG"
)
_AVIF_ADVICE = "is an AVIF picture, which this version of Pillow does not read; update Pillow or export it as JPEG"

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
# Raw files of Olympus, Panasonic, Fujifilm, Minolta and Sigma. (Canon's, Nikon's, Sony's and Adobe's are TIFF files.)
_RAW_STARTS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb")
_CANON_CR3 = b"crx "
_CANON_CR2_AT, _CANON_CR2 = 8, b"CR"
_STARTS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    *(b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
)
_OTHER_STARTS = {
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"v/1\x01": "OpenEXR",
}


def available_formats(head: bytes = b"") -> list[str]:
    """The formats that can be opened here, by their names in Pillow; HEIF for a `head` that needs it."""
    Image.init()
    if _brand(head) in _HEIC_BRANDS:
        _add_heif()
    return [name for name in FORMATS if name in Image.OPEN]


@functools.cache
def _add_heif() -> None:
    """Let Pillow open HEIF where pi-heif (the extra `heif`) is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pi_heif").register_heif_opener(thumbnails=False)


def is_known(head: bytes) -> bool:
    """Whether a file that starts with `head` looks like a photograph that can be opened here, damaged or not."""
    if is_raw(head):
        return False
    formats = available_formats(head)
    if _brand(head) in _HEIC_BRANDS:
        return "HEIF" in formats
    if _brand(head) in _AVIF_BRANDS:
        return "AVIF" in formats
    return head.startswith(_STARTS) or is_tiff(head) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def is_tiff(head: bytes) -> bool:
    """Whether a file that starts with `head` is a TIFF or a BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_raw(head: bytes) -> bool:
    """Whether a file that starts with `head` is a camera raw file; those that look like any TIFF are not recognised."""
    at = _CANON_CR2_AT
    is_cr2 = is_tiff(head) and head[at : at + len(_CANON_CR2)] == _CANON_CR2
    return is_cr2 or head.startswith(_RAW_STARTS) or _brand(head) == _CANON_CR3


def refusal(head: bytes) -> str:
    """What is said of a file that starts with `head` and does not open: what it is, and what to do."""
    brand, formats = _brand(head), available_formats(head)
    if is_raw(head):
        return RAW_ADVICE
    if brand in _HEIC_BRANDS and "HEIF" not in formats:
        return _HEIC_ADVICE
    if brand in _AVIF_BRANDS and "AVIF" not in formats:
        return _AVIF_ADVICE
    if brand in _HEIC_BRANDS | _AVIF_BRANDS:
        return "is damaged or incomplete; copy or export it again"
    if is_tiff(head):
        return "is a TIFF of a kind that cannot be read, or damaged; save it as RGB or grey with 8 or 16 bits"
    kind = next((f"a {name} file, not" for start, name in _OTHER_STARTS.items() if head.startswith(start)), "not")
    return f"is {kind} a picture in a known format; give a {FORMATS_IN_WORDS} file"


def _brand(head: bytes) -> bytes:
    """The brand of an ISO media file (HEIC, AVIF, CR3), else b""."""
    return head[8:12] if head[4:8] == b"ftyp" else b""
