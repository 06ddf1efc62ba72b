"""The folder of a published site: whether it may be replaced, and the file that says what `site` wrote into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from ...engine.errors import OutputError
from ...engine.files import check_folder, check_keeps, write_error

# Lies in every published folder: the version of the site, and the SHA-256 of every other file.
MARKER = "livetint-site.json"
# Files that an error names; the rest is counted.
MAX_NAMED = 3


def digests_of(folder: Path) -> dict[str, str]:
    """Address relative to `folder` → SHA-256 in hexadecimal, of every file but the marker, sorted."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MARKER:
            found[path.relative_to(folder).as_posix()] = _sha256(path)
    return found


def marker_text(version: str, digests: dict[str, str]) -> bytes:
    """The contents of the marker."""
    return (json.dumps({"schema": 1, "version": version, "files": digests}, indent=1) + "\n").encode()


def check_replaceable(folder: Path, inputs: Iterable[Path]) -> None:
    """Check early that `folder` can be written, and replaced if it exists, without losing anything.

    It is replaced only where it is empty or holds exactly what `site` wrote. inputs: what must not be lost. Raises
    OutputError.
    """
    check_folder(folder)
    check_keeps(folder, inputs)
    try:
        if not folder.is_dir() or not any(folder.iterdir()):
            return
        known = _written(folder)
        if known is None:
            raise OutputError(f"{folder} was not written by `livetint site`; choose a new folder")
        foreign = [name for name, digest in _present(folder).items() if known.get(name) != digest and name != MARKER]
    except OSError as error:
        raise write_error(folder, error) from error
    if foreign:
        more = f" and {len(foreign) - MAX_NAMED} more" if len(foreign) > MAX_NAMED else ""
        raise OutputError(
            f"{folder} holds files that `livetint site` did not write or that were changed since: "
            f"{', '.join(foreign[:MAX_NAMED])}{more}; move them away, or choose a new folder"
        )


def _written(folder: Path) -> dict[str, str] | None:
    """What the marker of `folder` lists, or None where there is no marker that can be read."""
    try:
        files = json.loads((folder / MARKER).read_bytes())["files"]
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, KeyError, TypeError):
        return None
    return files if isinstance(files, dict) else None


def _present(folder: Path) -> dict[str, str]:
    """As `digests_of`; links and other special files are there under an impossible digest."""
    special = {
        path.relative_to(folder).as_posix(): ""
        for path in folder.rglob("*")
        if path.is_symlink() or not (path.is_file() or path.is_dir())
    }
    return {**digests_of(folder), **special}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
