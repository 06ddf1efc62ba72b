"""The manifest of a folder of coloured photographs: one line of JSON for each photograph, appended and synced.

A later line about a photograph replaces an earlier one. A line is written before its picture is put in place, so after
a power cut a line may name a picture that is not there; a run compares hashes and colours it again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from ..engine.errors import OutputError
from ..engine.files import fsync, write_error

NAME = "livetint-manifest.jsonl"
# How file systems answer a lock that they do not offer.
_LOCK_NOT_OFFERED = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


class Record(msgspec.Struct, frozen=True):
    """What was done with a photograph.

    path, output: relative paths of the photograph and its coloured copy. sha256_in, sha256_out: of these two files.
    model: digest of the model (`Bundle.digest`). options: all that decides the colours. seconds: that it took. error:
    why it failed; then there is no sha256_out. notes: what was assumed of the photograph. livetint: the version.
    """

    path: str
    output: str
    sha256_in: str = ""
    sha256_out: str = ""
    model: str = ""
    options: dict[str, Any] = {}
    seconds: float = 0.0
    error: str = ""
    notes: Sequence[str] = ()
    livetint: str = ""


class Manifest:
    """The manifest of a folder, open for appending, as a context manager. One process at a time may hold it.

    Raises OutputError where it cannot be written, or where another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._made_folder = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise write_error(self.path, error) from error
        try:
            self._lock()
            self._last: dict[str, Record] = {}
            self._written: dict[str, set[str]] = {}
            self._read()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        """Close the file. A manifest without lines is removed, with its folder if that was made for it."""
        with contextlib.suppress(OSError):
            if os.fstat(self._file).st_size == 0:
                self.path.unlink()
                if self._made_folder:
                    self.path.parent.rmdir()
        os.close(self._file)

    def last(self, path: str) -> Record | None:
        """The last record of a photograph that was coloured."""
        return self._last.get(path)

    def written(self, output: str) -> frozenset[str]:
        """The hashes of all pictures that were ever written as `output`."""
        return frozenset(self._written.get(output, ()))

    def append(self, record: Record) -> None:
        """Add a line and sync it. Raises OutputError."""
        self._add_line(json.dumps(msgspec.to_builtins(record)).encode() + b"\n")
        self._keep(record)

    def _add_line(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._file, line) :]
            fsync(self._file)
        except OSError as error:
            raise write_error(self.path, error) from error

    def _lock(self) -> None:
        if os.name == "nt":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"another run is writing to {self.path.parent}; wait for it, or stop it") from error
        except OSError as error:
            if error.errno not in _LOCK_NOT_OFFERED:
                raise write_error(self.path, error) from error

    def _read(self) -> None:
        """Read all records. A line that a crash cut off, or that is not a record, counts for nothing."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise write_error(self.path, error) from error
        for line in data.splitlines():
            try:
                self._keep(msgspec.convert(json.loads(line), Record))
            except (ValueError, msgspec.ValidationError):
                continue
        if data and not data.endswith(b"\n"):
            self._add_line(b"\n")

    def _keep(self, record: Record) -> None:
        if record.sha256_out:
            self._last[record.path] = record
            self._written.setdefault(record.output, set()).add(record.sha256_out)
