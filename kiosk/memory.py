"""Files without a name: a visitor's picture never touches a disk, and is gone with the last process that holds it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


class NamelessFile:
    """Memory with a descriptor, for this process and the children that it is passed to.

    On Linux it is memory that no folder lists; elsewhere a private temporary file, which `close` removes.
    """

    def __init__(self, label: str) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create(f"livetint-{label}")
            self._path = Path(f"/proc/{os.getpid()}/fd/{self.descriptor}")
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="livetint-")
            self._path = Path(self._folder.name) / label
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    def open(self) -> int:
        """Another descriptor of the same content, read-only and with a position of its own. The caller closes it.

        Raises ValueError once the file is closed: its number may belong to another file then.
        """
        if self.descriptor < 0:
            raise ValueError("the file is closed; its content is gone")
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """All of it."""
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)

    def close(self) -> None:
        """Let go of it. A second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._folder:
            with contextlib.suppress(OSError):
                self._folder.cleanup()

    def __enter__(self) -> NamelessFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
