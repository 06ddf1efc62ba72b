"""Packed files: what the page's own arithmetic (kiosk/web/touch/) loads.

A packed file is gzip. Before compression it is the header's length (little-endian uint32), the header (JSON, padded
with spaces to a multiple of 4 bytes) and the content. The header has the file's `kind`, the `format` (FORMAT), the
digest of the `model`, and the size `bytes` and the `sha256` of the content. kiosk/web/touch/packed_file.js reads it and
refuses every other file.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from ...engine.bundle import Bundle
from ...engine.files import sha256_of

FORMAT = 1
# Characters of a bundle's digest in the header.
DIGEST_LENGTH = 16
_COMPRESSION = 9


def pack(kind: str, bundle: Bundle, facts: Mapping[str, Any], content: bytes) -> bytes:
    """A packed file. facts: further keys of its header. The same input gives the same bytes."""
    header = msgspec.json.encode(
        {
            "kind": kind,
            "format": FORMAT,
            "model": bundle.digest[:DIGEST_LENGTH],
            "bytes": len(content),
            "sha256": sha256_of(content),
            **facts,
        }
    )
    header += b" " * (-len(header) % 4)
    return gzip.compress(struct.pack("<I", len(header)) + header + content, _COMPRESSION, mtime=0)
