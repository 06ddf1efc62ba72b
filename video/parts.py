"""The folder OUT.parts: finished segments, and what the next one needs to know.

A segment is a file of coded frames and a record. The record is written last, so a segment with a record is whole. A run
that was killed continues after the last of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import filelock
import msgspec
import numpy as np

from ..engine.errors import OutputError
from ..engine.files import atomic_write, write_error
from .flow import Plane
from .frames import State

RUN = "run.json"


class Record(msgspec.Struct):
    """A finished segment. pts, durations: of its frames, in units of the source's time base. state: after it."""

    pts: list[int]
    durations: list[int]
    state: State


class Parts:
    """The folder of a run, locked. Use it as a context manager."""

    def __init__(self, output: Path) -> None:
        self.folder = output.with_name(output.name + ".parts")
        self._lock = filelock.FileLock(self.folder.with_name(self.folder.name + ".lock"))

    def __enter__(self) -> Parts:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise OutputError(f"another run is writing to {self.folder}; wait until it ends") from error
        except OSError as error:
            raise write_error(self.folder, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def start(self, fingerprint: str) -> bool:
        """Make the folder, or keep it for a run with the same fingerprint; whether there is such a run to resume."""
        run = self.folder / RUN
        try:
            if run.is_file() and run.read_text() == fingerprint:
                return self.count() > 0
            if self.folder.is_dir() and any(self.folder.iterdir()) and not run.is_file():
                raise OutputError(f"{self.folder} exists and is of no run; remove it, or choose another name for -o")
            self.remove()
            self.folder.mkdir()
        except OSError as error:
            raise write_error(self.folder, error) from error
        atomic_write(run, fingerprint.encode())
        return False

    def count(self) -> int:
        """How many segments are finished."""
        number = 0
        while self._record(number).is_file():
            number += 1
        return number

    def segment(self, number: int) -> Path:
        """The file of coded frames of a segment."""
        return self.folder / f"{number:05}.mkv"

    def picture(self, shot: int) -> Path:
        """The small picture of a shot."""
        return self.folder / f"shot-{shot:05}.jpg"

    def finish(self, number: int, record: Record, ab: Plane, L: Plane) -> None:
        """Enter a segment whose file of coded frames is there. ab, L: of its last frame."""
        last = self.folder / f"{number:05}.npz"
        try:
            with last.open("wb") as file:
                np.savez(file, ab=ab, L=L)
        except OSError as error:
            raise write_error(last, error) from error
        atomic_write(self._record(number), msgspec.json.encode(record))
        (self.folder / f"{number - 1:05}.npz").unlink(missing_ok=True)

    def record(self, number: int) -> Record:
        return msgspec.json.decode(self._record(number).read_bytes(), type=Record)

    def last_frame(self, number: int) -> tuple[Plane, Plane]:
        """ab and L of the last frame of the last segment."""
        with np.load(self.folder / f"{number:05}.npz") as arrays:
            return arrays["ab"], arrays["L"]

    def remove(self) -> None:
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def _record(self, number: int) -> Path:
        return self.folder / f"{number:05}.json"
