"""EXIF tags: which are kept of a photograph, and the texts in them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, TiffImagePlugin, TiffTags

EXIF_IFD, GPS_IFD = 34665, 34853
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
ORIENTATION, _SOFTWARE = 274, 305
_DESCRIPTION, _DATE_TIME, _ARTIST, _COPYRIGHT = 270, 306, 315, 33432
_DATE_ORIGINAL, _COLOR_SPACE, _WIDTH, _HEIGHT = 36867, 40961, 40962, 40963
# ImageDescription, DocumentName, Make, Model, PageName, DateTime, Artist, Copyright, and XPTitle to XPSubject
_KEPT = (270, 269, 271, 272, 285, 306, 315, 33432, *range(40091, 40096))
# Exposure, FNumber, ISO, dates with their zones and fractions, FocalLength, UserComment, LensMake, LensModel. No serial
# numbers, no owner, no maker notes (which hold both).
_KEPT_EXIF = (33434, 33437, 34855, 36867, 36868, 36880, 36881, 36882, 37386, 37510, 37520, 37521, 37522, 42035, 42036)
_XP_TITLE, _XP_COMMENT, _XP_AUTHOR, _XP_KEYWORDS = range(40091, 40095)
_USER_COMMENT = 37510
_EXIF_VERSION, _FLASHPIX_VERSION = 36864, 40960
_TYPES = dict.fromkeys((_EXIF_VERSION, _FLASHPIX_VERSION, _USER_COMMENT), TiffTags.UNDEFINED) | dict.fromkeys(
    range(40091, 40096), TiffTags.BYTE
)
_INCH = 2
_MAX_VALUE_BYTES = 8192


@dataclass(frozen=True)
class ExifTags:
    """The tags that a coloured copy takes over, by IFD. Texts are bytes in the encoding of the source."""

    main: Mapping[int, Any] = field(default_factory=dict)
    exif: Mapping[int, Any] = field(default_factory=dict)
    gps: Mapping[int, Any] = field(default_factory=dict)


def kept_tags(source: Image.Exif, keep_location: bool = False) -> ExifTags:
    """The tags of `source` to take over: an allow-list, with GPS only where `keep_location` is set."""
    main = _writable({tag: source.get(tag) for tag in _KEPT}, None)
    exif_ifd = source.get_ifd(EXIF_IFD)
    exif = _writable({tag: exif_ifd.get(tag) for tag in _KEPT_EXIF}, EXIF_IFD)
    return ExifTags(main, exif, _writable(dict(source.get_ifd(GPS_IFD)), GPS_IFD) if keep_location else {})


def _writable(values: Mapping[int, Any], group: int | None) -> dict[int, Any]:
    """Those `values` that Pillow can write, texts as bytes."""
    found = {}
    for tag, value in values.items():
        value = value.encode("latin-1", "replace").rstrip(b"\0") if isinstance(value, str) else value
        if value in (None, b"", ()):
            continue
        with contextlib.suppress(Exception):  # whatever a damaged value makes Pillow raise, the tag is left out
            if len(_ifd({tag: value}, group, 0, False)) <= _MAX_VALUE_BYTES:
                found[tag] = value
    return found


def texts(source: Image.Exif) -> dict[str, tuple[str, ...]]:
    """The descriptive fields in EXIF tags: title, description, author, rights, created, keywords, comment."""
    exif_ifd = source.get_ifd(EXIF_IFD)
    date = _text(exif_ifd.get(_DATE_ORIGINAL)) or _text(source.get(_DATE_TIME))
    author = _text(source.get(_ARTIST)) or _wide(source.get(_XP_AUTHOR))
    found = {
        "title": [_wide(source.get(_XP_TITLE))],
        "description": [_text(source.get(_DESCRIPTION))],
        "author": re.split(r"\s*;\s*", author),
        # Copyright may hold the photographer's and the editor's, separated by NUL.
        "rights": ["; ".join(filter(str.strip, _text(source.get(_COPYRIGHT)).split("\0")))],
        "created": [iso_date(date)],
        "keywords": re.split(r"\s*;\s*", _wide(source.get(_XP_KEYWORDS))),
        "comment": [_wide(source.get(_XP_COMMENT))],
    }
    return {name: kept for name, values in found.items() if (kept := tuple(filter(None, values)))}


def _text(value: object) -> str:
    """An ASCII tag. Many programs write UTF-8 into these; Pillow reads Latin-1."""
    if not isinstance(value, str):
        return ""
    data = value.encode("latin-1", "replace")
    try:
        return data.decode().strip("\0 ")
    except UnicodeDecodeError:
        return value.strip("\0 ")


def _wide(value: object) -> str:
    """One of Windows' XP tags: bytes in UTF-16."""
    try:
        data = bytes(value) if isinstance(value, (bytes, tuple)) else b""
    except (TypeError, ValueError):
        return ""
    return data.decode("utf-16-le", "ignore").strip("\0 ")


def iso_date(exif: str) -> str:
    """ "YYYY:MM:DD HH:MM:SS" as an ISO date, "" where it is none."""
    found = re.match(r"(\d{4})[:-](\d{2})[:-](\d{2})(?:[ T](\d{2}:\d{2}:\d{2}))?", exif)
    if not found or "00" in (found[2], found[3]) or found[1] == "0000":
        return ""
    return f"{found[1]}-{found[2]}-{found[3]}" + (f"T{found[4]}" if found[4] else "")


@dataclass(frozen=True)
class Directories:
    """What is written into a picture of `size` (width, height): values by tag, for each IFD."""

    main: dict[int, Any]
    exif: dict[int, Any]
    gps: dict[int, Any]
    size: tuple[int, int]

    def tobytes(self, offset: int, *, big_endian: bool = False) -> bytes:
        """The main IFD and the others behind it, as they are at `offset` bytes behind a TIFF header."""
        subordinate = {EXIF_IFD: self.exif, GPS_IFD: self.gps}
        subordinate = {tag: values for tag, values in subordinate.items() if values}
        pointers = dict.fromkeys(subordinate, 0)
        size = len(_ifd(self.main | pointers, None, offset, big_endian))
        tail = b""
        for tag, values in subordinate.items():
            pointers[tag] = offset + size + len(tail)
            tail += _ifd(values, tag, pointers[tag], big_endian)
        return _ifd(self.main | pointers, None, offset, big_endian) + tail


def directories(
    tags: ExifTags,
    fields: Mapping[str, Sequence[str]],
    resolution: tuple[float, float] | None,
    size: tuple[int, int],
    software: str,
) -> Directories:
    """For a picture of `size` (width, height): `tags`, `fields` where tags are missing, sRGB, upright, made by
    `software`. resolution: dots per inch, x and y."""
    main, exif = dict(tags.main), dict(tags.exif)
    for tag, name in ((_DESCRIPTION, "description"), (_ARTIST, "author"), (_COPYRIGHT, "rights")):
        if tag not in main and fields.get(name):
            main[tag] = "; ".join(fields[name]).encode()[:_MAX_VALUE_BYTES]
    if resolution:
        main |= {X_RESOLUTION: _rational(resolution[0]), Y_RESOLUTION: _rational(resolution[1]), RESOLUTION_UNIT: _INCH}
    main |= {ORIENTATION: 1, _SOFTWARE: software.encode()}
    exif |= {_EXIF_VERSION: b"0232", _FLASHPIX_VERSION: b"0100"}
    exif |= {_COLOR_SPACE: 1, _WIDTH: size[0], _HEIGHT: size[1]}
    created = (fields.get("created") or ("",))[0]
    if _DATE_ORIGINAL not in exif and re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", created):
        exif[_DATE_ORIGINAL] = created.replace("-", ":").replace("T", " ").encode()
    return Directories(main, exif, dict(tags.gps), size)


def _rational(value: float) -> TiffImagePlugin.IFDRational:
    return TiffImagePlugin.IFDRational(round(value * 1000), 1000)


def _ifd(values: Mapping[int, Any], group: int | None, offset: int, big_endian: bool) -> bytes:
    """One IFD as Pillow writes it. Values that are bytes are texts, except in the tags of other types."""
    header = b"MM\0*\0\0\0\0" if big_endian else b"II*\0\0\0\0\0"
    target = TiffImagePlugin.ImageFileDirectory_v2(header, group=group)
    for tag, value in values.items():
        if tag in (EXIF_IFD, GPS_IFD):
            target.tagtype[tag] = TiffTags.LONG
        elif isinstance(value, bytes):
            target.tagtype[tag] = _TYPES.get(tag, TiffTags.ASCII if group != GPS_IFD else TiffTags.BYTE)
        target[tag] = value
    return target.tobytes(offset)
