"""IPTC-IIM: the older form of IPTC metadata, a list of datasets (record, number, bytes)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Dataset = tuple[int, int, bytes]

# field: (dataset of record 2, most bytes that the standard allows)
DATASETS: dict[str, tuple[int, int]] = {
    "title": (5, 64),
    "keywords": (25, 64),
    "instructions": (40, 256),
    "created": (55, 8),
    "author": (80, 32),
    "city": (90, 32),
    "state": (95, 32),
    "country": (101, 64),
    "headline": (105, 256),
    "credit": (110, 32),
    "source": (115, 32),
    "rights": (116, 128),
    "description": (120, 2000),
}
_APPLICATION, _PROGRAM, _PROGRAM_VERSION = 2, 65, 70
_CHARACTER_SET: Dataset = (1, 90, b"\x1b%G")  # UTF-8
_RECORD_VERSION: Dataset = (_APPLICATION, 0, b"\0\4")
# Previews (2:200 to 2:202) show the picture as it was.
_STALE = {_PROGRAM, _PROGRAM_VERSION, 200, 201, 202}
_MARK, _RESOURCE, _IIM_RESOURCE = 0x1C, b"8BIM", 0x0404
# One APP13 segment of a JPEG holds 64 KiB.
MAX_BYTES = 60_000


def parse(data: bytes) -> list[Dataset]:
    """The datasets of an IIM block, up to the first damaged one."""
    found: list[Dataset] = []
    at = 0
    while at + 5 <= len(data) and data[at] == _MARK:
        record, number, length = struct.unpack(">BBH", data[at + 1 : at + 5])
        at += 5
        if length & 0x8000 or at + length > len(data):
            break  # extended lengths are for previews
        found.append((record, number, data[at : at + length]))
        at += length
    return found


def parse_resources(data: bytes) -> bytes:
    """The IIM block in a list of Photoshop image resources (as in TIFF's tag 34377), b"" if there is none."""
    at = 0
    while data[at : at + 4] == _RESOURCE and at + 12 <= len(data):
        kind = int.from_bytes(data[at + 4 : at + 6], "big")
        at += 6
        at += (data[at] + 2) & ~1  # its name, padded to an even length
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if kind == _IIM_RESOURCE:
            return data[at : at + length]
        at += (length + 1) & ~1
    return b""


def texts(datasets: Sequence[Dataset]) -> dict[str, tuple[str, ...]]:
    """The descriptive fields (keys of DATASETS) that have a value."""
    encoding = "utf-8" if _CHARACTER_SET in datasets else "latin-1"
    found: dict[str, tuple[str, ...]] = {}
    for field, (wanted, _) in DATASETS.items():
        values = [data for record, number, data in datasets if (record, number) == (_APPLICATION, wanted)]
        words = tuple(value.decode(encoding, "replace").strip("\0 ") for value in values)
        if any(words):
            found[field] = tuple(filter(None, words))
    if "created" in found:
        found["created"] = (iso_date(found["created"][0]),)
    return found


def iso_date(iim: str) -> str:
    """CCYYMMDD, where unknown parts are zeros, as an ISO date of known parts."""
    if not (len(iim) == 8 and iim.isascii() and iim.isdigit()) or iim.startswith("0000"):
        return ""
    parts = [iim[:4], *(part for part in (iim[4:6], iim[6:]) if part != "00")]
    return "-".join(parts)


def from_texts(fields: Mapping[str, Sequence[str]]) -> list[Dataset]:
    """Datasets in UTF-8 of descriptive fields. Values longer than the standard allows are cut."""
    found = [_CHARACTER_SET, _RECORD_VERSION]
    for field, (number, max_bytes) in DATASETS.items():
        for value in fields.get(field, ()):
            text = (value[:10].replace("-", "") + "0000")[:8] if field == "created" else value
            short = text.encode()[:max_bytes].decode(errors="ignore")
            found.append((_APPLICATION, number, short.encode()))
    return found


def serialise(datasets: Sequence[Dataset], program: str, version: str) -> bytes:
    """An IIM block that names `program` as the origin, of at most MAX_BYTES."""
    kept = [item for item in datasets if not (item[0] == _APPLICATION and item[1] in _STALE)]
    own = [(_APPLICATION, _PROGRAM, program.encode()[:32]), (_APPLICATION, _PROGRAM_VERSION, version.encode()[:10])]
    out = b""
    for record, number, data in sorted([*kept, *own], key=lambda item: item[:2]):
        dataset = struct.pack(">BBBH", _MARK, record, number, len(data)) + data
        if len(out) + len(dataset) <= MAX_BYTES:
            out += dataset
    return out


def as_resource(block: bytes) -> bytes:
    """An IIM block as a Photoshop image resource."""
    head = _RESOURCE + struct.pack(">HHI", _IIM_RESOURCE, 0, len(block))
    return head + block + b"\0" * (len(block) % 2)
