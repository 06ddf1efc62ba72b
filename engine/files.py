"""Atomic writes: a crash, a full disk or a power cut leaves the old file or folder, or the new one, never a part."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
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
# How network shares and FUSE file systems answer an fsync that they do not offer.
_SYNC_NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}
# Bytes of a file's name that its temporary name repeats, so that a name of 255 bytes leaves room for the rest.
_NAME_BYTES = 100


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

    The temporary file lies in the same folder and exists already, empty. It is synced and renamed to `path` at the end
    of the block, and removed if the block raises. A new file gets the permissions that the umask leaves; an existing
    file keeps its own, and its owner where the system allows that. A link stays a link: the file that it leads to is
    replaced. An OSError in the block is raised as OutputError.
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path))
        old = _status(target)
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise OutputError(_not_a_file(path, old))
        temporary = _hidden_name(target)
    except (OSError, ValueError) as error:
        raise write_error(path, error) from error
    try:
        # The kernel applies the umask here. Reading it would change it for a moment, in all threads.
        mode = 0o666 if old is None else 0o600
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        yield temporary
        _replace(temporary, target, old)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished file to `path` in the same folder, as `replacing` does, but replace a link by the file.

    Raises OutputError.
    """
    try:
        _replace(temporary, path, _status(path))
    except OSError as error:
        raise write_error(path, error) from error


def _replace(temporary: Path, target: Path, old: os.stat_result | None) -> None:
    """Sync `temporary` and rename it to `target`, with the permissions of what it replaces."""
    if old is not None:
        _keep_permissions(temporary, old)
    sync(temporary)
    temporary.replace(target)
    sync_folder(target.parent)


def _status(path: Path) -> os.stat_result | None:
    """The status of `path`, or None where there is nothing."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _keep_permissions(path: Path, old: os.stat_result) -> None:
    """Give `path` the owner and the mode of `old`. Some shares refuse both; the file matters more."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(path, old.st_uid, old.st_gid)
    # A file loses set-user-ID and set-group-ID, as with every change of its content. Folders pass their group on.
    mode = stat.S_IMODE(old.st_mode) if stat.S_ISDIR(old.st_mode) else stat.S_IMODE(old.st_mode) & 0o777
    with contextlib.suppress(OSError):
        path.chmod(mode)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `files` (name → contents) the contents of `folder`, as `replacing_folder` does. Raises OutputError."""
    with replacing_folder(folder) as temporary:
        for name, data in files.items():
            (temporary / name).write_bytes(data)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Make what the block writes into the folder that it is given the contents of `folder`, whole or not at all.

    The given folder lies beside `folder` and is empty. At the end of the block everything in it is synced, and it gets
    the permissions of an existing `folder`. Then the two folders are exchanged in one step, and the old one is removed.
    Where the system cannot exchange folders, there are two renames: a power cut between them leaves the old folder
    under a hidden name beside `folder`. If the block raises, `folder` stays as it was. Raises OutputError, also for an
    OSError in the block.
    """
    folder = folder.resolve()
    temporary = _hidden_name(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        for path in sorted(temporary.rglob("*")):
            sync(path)
        old = _status(folder)
        if old is not None:
            _keep_permissions(temporary, old)
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


def write_error(path: Path, error: OSError | ValueError) -> OutputError:
    """The OutputError for a `path` that could not be written, with the reason and advice that fits it."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _NO_SPACE:
        advice = "free some space and try again"
    elif number in _NOT_ALLOWED:
        advice = "choose a folder that you may write to"
    elif number in (errno.ENOENT, errno.ENOTDIR):
        advice = "choose a folder that exists"
    elif number in (errno.ENAMETOOLONG, errno.EILSEQ, None):
        advice = "choose another name"
    else:
        advice = "choose another place, or check the disk"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return OutputError(f"cannot write {path}: {reason}; {advice}")


def check_writable(path: Path | None, inputs: Iterable[Path | None] = (), advice: str = "choose another name") -> None:
    """Check early that `atomic_write` can write `path`; None, for nothing to write, passes.

    inputs: files that must not be lost; `advice` says what to do where one would be. Raises OutputError if the folder
    of `path` is missing or cannot be written to, if `path` is a folder or a device, has an impossible name, or leads to
    one of `inputs` (through links too).
    """
    if path is None:
        return
    try:
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise OutputError(f"the folder {path.parent} does not exist; create it or choose another one")
        old = _status(target)
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise OutputError(_not_a_file(path, old))
        _try_folder(target, old)
    except PermissionError as error:
        raise OutputError(f"the folder {path.parent} cannot be written to; choose another one") from error
    except (OSError, ValueError) as error:
        raise write_error(path, error) from error
    for other in inputs:
        if other is not None and same_file(path, other):
            raise OutputError(f"{path} is the same file as {other}, which would be lost; {advice}")


def _try_folder(target: Path, old: os.stat_result | None) -> None:
    """Make and remove a file beside `target`. Raises OSError where that, or replacing `target`, is not allowed."""
    temporary = _hidden_name(target)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    temporary.unlink()
    folder = target.parent.stat()
    if old is not None and folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, old.st_uid, folder.st_uid):
        raise PermissionError(errno.EPERM, "Operation not permitted")  # the file belongs to somebody else


def check_folder(folder: Path) -> None:
    """Check early, without making it, that `folder` can be made and written to. Raises OutputError."""
    try:
        place = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        if not place.is_dir():
            raise OutputError(f"{place} is not a folder; choose another place for {folder}")
        _try_folder(place / folder.name, None)
    except (OSError, ValueError) as error:
        raise write_error(folder, error) from error


def _not_a_file(path: Path, status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return f"{path} is a folder; give the name of a file inside it"
    return f"{path} is not an ordinary file; give the name of a file"


def check_keeps(folder: Path, inputs: Iterable[Path | None]) -> None:
    """Check early that none of `inputs` lies in `folder`, which `write_folder` is to replace. Raises OutputError."""
    for path in inputs:
        real = None if path is None else Path(os.path.realpath(path))
        if real is not None and any(same_file(folder, place) for place in (real, *real.parents)):
            raise OutputError(f"{path} would be lost when {folder} is replaced; choose another folder")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, through symbolic and hard links too. Neither has to exist."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where the folder can be opened for reading and its system offers that."""
    if os.name == "nt":
        return
    with contextlib.suppress(PermissionError):
        sync(folder)


def sync(path: Path) -> None:
    """`fsync` the file or folder at `path`."""
    # Windows syncs only files that are open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync(descriptor: int) -> None:
    """fsync an open file or folder. Does nothing where the file system has no fsync (some network shares)."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _SYNC_NOT_OFFERED:
            raise


def _hidden_name(path: Path) -> Path:
    """A new hidden path in the folder of `path`. Its name repeats the start of the name of `path`."""
    start = path.name
    while len(os.fsencode(start)) > _NAME_BYTES:
        start = start[:-1]
    return path.with_name(f".{start}.{secrets.token_hex(8)}")


def sha256_of(data: bytes) -> str:
    """SHA-256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def decode_text(data: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its byte-order mark (some editors on Windows write both marks).

    The mark is left out. Raises UnicodeDecodeError.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file. Raises ConfigError naming the file and the line."""
    try:
        return tomllib.loads(decode_text(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; check the path") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not readable TOML: {error}") from error
