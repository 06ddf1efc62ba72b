"""Sets of photographs for training, calibration and benches: a folder or a tar file, read in a fixed order."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..engine.colour.cielab import srgb_to_lab
from ..engine.errors import ConfigError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff"}


def photograph_files(sources: Sequence[str | Path] | str | Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every photograph in folders (sorted by name) and tar files (in their order)."""
    if isinstance(sources, (str, Path)):
        sources = [sources]
    for source in map(Path, sources):
        if source.is_dir():
            for path in sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES):
                yield path.name, _read(path)
        elif source.is_file() and tarfile.is_tarfile(source):
            yield from _tar_members(source)
        else:
            raise ConfigError(f"{source} is neither a folder nor a tar file of photographs; check the path")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:  # a broken link, a folder of that name, a file of somebody else
        raise ConfigError(f"{path} cannot be read: {error.strerror}; take it out of the set") from error


def _tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()


def squashed(data: bytes, side: int) -> NDArray[np.uint8]:
    """Decode and squash to uint8 RGB [side, side, 3]: bilinear, without keeping the aspect ratio, as in the paper."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


def load_squares(
    sources: Sequence[str | Path] | str | Path, side: int, limit: int | None = None, threads: int = 2
) -> NDArray[np.uint8]:
    """Decode a whole set into memory: uint8 [n, side, side, 3].

    limit: read at most this many; None for all. Raises ConfigError when the set holds no photograph, or one that
    cannot be decoded.
    """
    files = islice(photograph_files(sources), limit)
    with ThreadPoolExecutor(threads) as pool:
        squares = list(pool.map(lambda item: _decode(item, side), files))
    if not squares:
        raise ConfigError(f"{sources} holds no photographs ({', '.join(sorted(SUFFIXES))}); check the path")
    return np.stack(squares)


def _decode(item: tuple[str, bytes], side: int) -> NDArray[np.uint8]:
    name, data = item
    try:
        return squashed(data, side)
    except (OSError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{name} cannot be decoded ({error}); take it out of the set") from error


def lab_of(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB uint8 [..., 3] → CIELAB float32 [..., 3]."""
    return srgb_to_lab(rgb.astype(np.float32) / np.float32(255)).astype(np.float32, copy=False)
