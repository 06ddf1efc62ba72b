"""Atomic writes: a crash, a full disk or a power cut leaves the old file or folder, or the new one, never a part."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError, OutputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

# renameat2(2): paths are relative to the working directory; the two names are exchanged.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def atomic_write(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`: temporary file in the same folder, fsync, rename, fsync of the folder.

    Raises OutputError when the folder is missing or the disk is full or read-only; `path` is then untouched
    and no temporary file stays behind.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Replace `path` by what the block writes to the temporary file that it is given (for writers that take a path).

    The temporary file lies in the same folder. It exists already, empty, with the permissions of a new file. It is
    synced and renamed to `path` at the end of the block, and removed if the block raises. An OSError in the block is
    raised as OutputError.
    """
    path = Path(path)
    temporary = _hidden_name(path)
    try:
        # The kernel applies the umask here. Reading it would change it for a moment, in all threads.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `files` (name → contents) the contents of `folder`, whole or not at all. Its old contents are removed.

    The files are written and synced in a temporary folder beside it. Then the two folders are exchanged in one step,
    and the old one is removed. Where the system cannot exchange folders, there are two renames: a power cut between
    them leaves the old folder under a hidden name beside `folder`. Raises OutputError.
    """
    folder = folder.resolve()
    temporary = _hidden_name(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        for name, data in files.items():
            (temporary / name).write_bytes(data)
            sync(temporary / name)
        sync_folder(temporary)
        _put_in_place(temporary, folder)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename `temporary` to `folder`. An old `folder` becomes `temporary`."""
    if not folder.exists():
        temporary.rename(folder)
    elif not exchange(temporary, folder):
        old = _hidden_name(folder)
        folder.rename(old)
        temporary.rename(folder)
        sync_folder(folder.parent)
        old.rename(temporary)
    sync_folder(folder.parent)


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two files or folders in one step. False where the system or the file system cannot."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def write_error(path: Path, error: OSError) -> OutputError:
    """The OutputError for a `path` that could not be written, with the reason and advice that fits it."""
    if error.errno in _NO_SPACE:
        advice = "free some space and try again"
    elif error.errno in _NOT_ALLOWED:
        advice = "choose a folder that you may write to"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        advice = "choose a folder that exists"
    else:
        advice = "choose another place, or check the disk"
    return OutputError(f"cannot write {path}: {error.strerror or error}; {advice}")


def check_writable(path: Path | None) -> None:
    """Check early that `atomic_write` can write `path`; None, for nothing to write, passes.

    Raises OutputError if the folder of `path` is missing or not writable, or if `path` is itself a folder.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it or choose another one")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file inside it")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {path.parent} cannot be written to; choose another one")


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable (a no-op where folders cannot be opened, as on Windows)."""
    if os.name != "nt":
        sync(folder)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    # Windows syncs only files that are open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hidden_name(path: Path) -> Path:
    """A new hidden path in the folder of `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def sha256_of(data: bytes) -> str:
    """SHA-256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file. Raises ConfigError naming the file and the line."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; check the path") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not readable TOML: {error}") from error
