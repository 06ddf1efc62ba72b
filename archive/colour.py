"""One photograph of an archive: hash it, colour it, and write its copy under a temporary name."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..engine.colour.global_hints import GlobalHints
from ..engine.errors import DeviceLost, ImageRejected, LivetintError, OutputError
from ..engine.files import fsync, sha256_of, write_error
from ..engine.image.encode import encode_rgb, takes_alpha
from ..engine.image.metadata import read_metadata
from ..engine.image.photo import MAX_MEGAPIXELS, Photo
from ..engine.runners.base import Runner
from ..engine.session import Edits, Session, parse_edits

# A copy is written under such a name beside its place, and renamed by the process that keeps the manifest.
PART = ".livetint-*.part"


class Settings(msgspec.Struct, frozen=True):
    """How the photographs of a run are coloured.

    model: folder of the bundle. device: of `open_runner`. edits: JSON of `Session.to_json` for photographs without
    hints of their own, or "". vivid, strength, saturation, histogram: replace what the hints say, unless None.
    reference: SHA-256 of the picture that gave the histogram. upsampling: method of `compose`. keep_location: of
    `read_metadata`. depth: bits of the copies.
    """

    model: str
    device: str = "auto"
    edits: str = ""
    vivid: float | None = None
    strength: float | None = None
    saturation: float | None = None
    histogram: list[float] | None = None
    reference: str = ""
    upsampling: str = "bilinear"
    max_megapixels: float = MAX_MEGAPIXELS
    keep_location: bool = False
    depth: int = 8

    def edits_with(self, hints: bytes | None) -> Edits:
        """The edits of a photograph. hints: the contents of its own file of hints. Raises ConfigError, HintRejected."""
        text = self.edits if hints is None else hints
        edits = Edits() if hints is None and not text else parse_edits(text)
        changes: dict[str, Any] = {}
        if self.vivid is not None:
            changes["vivid"] = self.vivid
        if self.strength is not None:
            changes["strength"] = self.strength
        if self.saturation is not None or self.histogram is not None:
            shares = None if self.histogram is None else np.asarray(self.histogram, np.float32)
            changes["global_hints"] = GlobalHints(shares, self.saturation)
        return replace(edits, **changes)

    def options_with(self, hints: bytes | None) -> dict[str, Any]:
        """All that decides the colours beside the photograph and the model, for the manifest."""
        text = self.edits.encode() if hints is None else hints
        return {
            "hints": None if hints is None and not text else sha256_of(text),
            "vivid": self.vivid,
            "strength": self.strength,
            "saturation": self.saturation,
            "reference": self.reference or None,
            "upsampling": self.upsampling,
            "keep_location": self.keep_location,
            "depth": self.depth,
        }


class Task(msgspec.Struct, frozen=True):
    """A photograph to colour. Paths are absolute, and bytes, because they need not be UTF-8.

    name: the photograph in sentences. done: the hashes in and out, the model and the options of an earlier run.
    written: hashes that an existing `output` may have. overwrite: it may have any. out: the folder that `output` must
    lie in.
    """

    number: int
    name: bytes
    source: bytes
    output: bytes
    out: bytes
    hints: bytes | None = None
    done: tuple[str, str, str, dict[str, Any]] | None = None
    written: Sequence[str] = ()
    overwrite: bool = False


class Result(msgspec.Struct, frozen=True):
    """What became of a task.

    part: the coloured copy under its temporary name; b"" where the photograph was skipped or failed. error: why it
    failed. full: it failed because the disk is full or read-only. notes: what was assumed of the photograph (`Photo`).
    """

    number: int
    sha256_in: str = ""
    sha256_out: str = ""
    options: dict[str, Any] = {}
    part: bytes = b""
    seconds: float = 0.0
    error: str = ""
    full: bool = False
    notes: Sequence[str] = ()


class Colourist:
    """Colours photographs with one runner. model: the digest of its model, as the manifest has it."""

    def __init__(self, runner: Runner, settings: Settings) -> None:
        self._runner, self._settings = runner, settings
        self.model = runner.bundle.digest

    def do(self, task: Task) -> Result:
        """Do a task. Faults become the result's error, except DeviceLost, after which this process is of no use."""
        start = time.perf_counter()
        name, digest, full = os.fsdecode(task.name), "", False
        try:
            data = _read(task.source, name)
            digest = sha256_of(data)
            result = self._do(task, data, digest)
            return msgspec.structs.replace(result, seconds=round(time.perf_counter() - start, 4))
        except DeviceLost:
            raise
        except LivetintError as error:
            sentence = str(error) if name in str(error) else f"{name}: {error}"
            full = isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL
        except MemoryError:
            sentence = f"{name} needs more memory than there is; reduce it, or use fewer jobs"
        except Exception as error:  # noqa: BLE001 - the other photographs go on; the error is recorded
            sentence = f"{name}: internal error: {type(error).__name__}: {error}"
        return Result(task.number, digest, error=sentence, full=full, seconds=round(time.perf_counter() - start, 4))

    def _do(self, task: Task, data: bytes, digest: str) -> Result:
        name, output = os.fsdecode(task.name), Path(os.fsdecode(task.output))
        hints = None if task.hints is None else _read(task.hints, f"the file of hints of {name}")
        options = self._settings.options_with(hints)
        current = _hash_of(output)
        if current is not None and task.done == (digest, current, self.model, options):
            return Result(task.number, digest, current, options)
        _check_output(output, Path(os.fsdecode(task.out)))
        if current is not None and not task.overwrite and current not in task.written:
            raise OutputError(f"{output} was changed after it was written; move it, or replace it with --overwrite")
        photo = Photo.from_bytes(data, self._settings.max_megapixels, name)
        coloured = self._colour(photo, data, output.suffix, hints)
        part = _write_part(output, coloured)
        return Result(task.number, digest, sha256_of(coloured), options, os.fsencode(part), notes=photo.notes)

    def _colour(self, photo: Photo, data: bytes, extension: str, hints: bytes | None) -> bytes:
        """The coloured copy of a photograph, encoded for `extension`. data: its file."""
        settings = self._settings
        edits = settings.edits_with(hints)
        session = Session(photo, self._runner)
        session.set_edits(edits)
        pixels = session.picture(settings.upsampling, settings.depth, takes_alpha(extension))
        metadata = read_metadata(data, keep_location=settings.keep_location)
        return encode_rgb(pixels, extension, metadata)


_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EROFS}


def _read(path: bytes, name: str) -> bytes:
    try:
        return Path(os.fsdecode(path)).read_bytes()
    except FileNotFoundError as error:
        raise ImageRejected(f"{name} is no longer there; run the command again") from error
    except OSError as error:
        raise ImageRejected(f"{name} cannot be read: {error.strerror}; check its rights") from error


def _hash_of(path: Path) -> str | None:
    """SHA-256 of a file, or None where there is none."""
    try:
        return sha256_of(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise write_error(path, error) from error


def _check_output(output: Path, out: Path) -> None:
    """Refuse to write through a link: the file that it leads to is not ours. Raises OutputError."""
    if output.is_symlink():
        raise OutputError(f"{output} is a link; remove it")
    if not Path(os.path.realpath(output.parent)).is_relative_to(os.path.realpath(out)):
        raise OutputError(f"{output.parent} leads out of {out}; remove the link")


def _write_part(output: Path, data: bytes) -> Path:
    part = output.with_name(PART.replace("*", secrets.token_hex(8)))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise write_error(output, error) from error
    return part
