"""Reads an exhibition: the bundled photographs, or a folder that staff made.

A folder holds pictures, one `photographs.toml`, and one `captions.LANGUAGE.toml` per language; the bundled folder is
an example of all. Pictures are addressed by an id made from their content, never by a path. An entry that cannot be
shown is left out and named; a list or captions with a mistake are refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...engine.errors import ConfigError, ImageRejected, LivetintError
from ...engine.files import read_toml
from ...engine.hints import Hint
from ...engine.image.formats import EXTENSIONS, FORMATS_IN_WORDS, HEAD_BYTES, OTHER_EXTENSIONS, is_known, refusal
from ...engine.image.photo import Photo
from ..messages import PictureRef
from ..settings import LANGUAGES, nearest
from .pictures import Picture, PictureRecord

LIST = "photographs.toml"
ID_DIGITS = 16
# Device, inode, size and time of change: what tells a changed file without reading it.
Stamp = tuple[int, ...]
# What is said of a file without content. While a file is copied into the folder, it is empty at first.
EMPTY = "is empty"
# Entries that an error names; the rest is counted.
MAX_NAMED = 5


class _LeftOut(LivetintError):
    """An entry cannot be shown. The message says why, after its name."""


class _ListRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    photograph: tuple[PictureRecord, ...]
    schema: int = 1


class CaptionRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture in one language."""

    title: str
    caption: str = ""


@dataclass(frozen=True)
class GalleryPicture(Picture):
    """A picture of an exhibition. `stamp` tells whether the `file` was changed since it was read."""

    file: Path
    stamp: Stamp = field(compare=False)

    def open(self) -> int:
        try:
            descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise KeyError(self.ref.id) from error
        if _stamp(descriptor) != self.stamp:
            os.close(descriptor)
            raise KeyError(self.ref.id)
        return descriptor


def bundled_photos() -> Path:
    """The photographs inside the installed package."""
    return Path(__file__).resolve().parents[2] / "photos"


def load_gallery(
    folder: Path, known: Iterable[GalleryPicture] = (), leave_out: Callable[[str], None] = lambda sentence: None
) -> dict[str, GalleryPicture]:
    """id → picture, in the order of the list; without a list every picture by name.

    known: pictures that were read before; their files are read again only where they changed. leave_out: called with a
    sentence for each entry that cannot be shown. Raises ConfigError where nothing can be shown, or naming the file of
    the list or the captions that has a mistake.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; give the folder of the exhibition's photographs")
    versions = {(picture.file, picture.stamp): picture.ref.version for picture in known}
    pictures: dict[str, GalleryPicture] = {}
    problems: list[str] = []
    for record in _records(folder, problems):
        try:
            path = _picture_file(folder, record.file)
            version, stamp = _read_version(path, versions)
        except _LeftOut as error:
            problems.append(f"{record.file} {error}")
            continue
        ref = PictureRef(version[:ID_DIGITS], version)
        pictures[ref.id] = GalleryPicture(ref, record, path, stamp)
    if not pictures:
        raise ConfigError(_nothing_to_show(folder, problems))
    for problem in problems:
        leave_out(problem)
    return pictures


def _nothing_to_show(folder: Path, problems: Sequence[str]) -> str:
    if not problems:
        return f"{folder} holds no photographs; add some ({FORMATS_IN_WORDS})"
    more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
    return f"{folder} holds no photographs that can be shown: {'; '.join(problems[:MAX_NAMED])}{more}"


def _picture_file(folder: Path, name: str) -> Path:
    """The real path of an entry, an ordinary file inside `folder`. Raises _LeftOut."""
    try:
        path = (folder / name).resolve()
        found = path.stat()
    except FileNotFoundError as error:
        is_link = (folder / name).is_symlink()
        raise _LeftOut("is a link that leads nowhere" if is_link else "is missing; copy it into the folder") from error
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
        raise _LeftOut(f"cannot be read: {_reason(error)}") from error
    if not path.is_relative_to(folder.resolve()):
        raise _LeftOut("leads out of the folder; copy the picture into it")
    if stat.S_ISDIR(found.st_mode):
        raise _LeftOut("is a folder; move its pictures up")
    if not stat.S_ISREG(found.st_mode):
        raise _LeftOut("is no ordinary file")
    return path


def _read_version(path: Path, versions: Mapping[tuple[Path, Stamp], str]) -> tuple[str, Stamp]:
    """SHA-256 of a file's content, and the file's stamp. `versions`: what is known by path and stamp already.

    Raises _LeftOut where the file cannot be read, or is of a kind that is not shown.
    """
    try:
        with path.open("rb") as file:
            stamp = _stamp(file.fileno())
            known = versions.get((path, stamp))
            if known:
                return known, stamp
            data = file.read()
    except OSError as error:
        raise _LeftOut(f"cannot be read: {_reason(error)}") from error
    if not data:
        raise _LeftOut(EMPTY)
    if not is_known(data[:HEAD_BYTES]):
        raise _LeftOut(refusal(data[:HEAD_BYTES]))
    return hashlib.sha256(data).hexdigest(), stamp


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _stamp(descriptor: int) -> Stamp:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _records(folder: Path, problems: list[str]) -> tuple[PictureRecord, ...]:
    records = _listed(folder) if (folder / LIST).exists() else _found(folder, problems)
    names = [record.file for record in records]
    captions = _captions(folder, names)
    return tuple(_with_captions(record, captions) for record in records)


def _with_captions(record: PictureRecord, tables: dict[str, dict[str, CaptionRecord]]) -> PictureRecord:
    found = {language: table[record.file] for language, table in tables.items() if record.file in table}
    titles = {language: caption.title for language, caption in found.items()}
    captions = {language: caption.caption for language, caption in found.items() if caption.caption}
    return msgspec.structs.replace(record, titles={**record.titles, **titles}, captions={**record.captions, **captions})


def caption_files(folder: Path) -> dict[str, Path]:
    """Language → file of its captions. Raises ConfigError for a language that the kiosk does not have."""
    files = {}
    for path in sorted(folder.glob("captions.*.toml")):
        language = path.name.split(".")[1]
        if language not in LANGUAGES:
            raise ConfigError(f"{path}: there is no language {language!r}; {nearest(language, LANGUAGES)}")
        files[language] = path
    return files


def _captions(folder: Path, names: Sequence[str]) -> dict[str, dict[str, CaptionRecord]]:
    """Language → file of the picture → its caption."""
    return {language: _caption_table(path, names) for language, path in caption_files(folder).items()}


def _caption_table(path: Path, names: Sequence[str]) -> dict[str, CaptionRecord]:
    """File of the picture → its caption, of one language. `names`: files on the list. Raises ConfigError."""
    try:
        table = msgspec.convert(read_toml(path), dict[str, CaptionRecord])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    for name in table:
        if name not in names:
            raise ConfigError(f"{path}: there is no picture {name!r} on show; {nearest(name, names)}")
    return table


def _found(folder: Path, problems: list[str]) -> tuple[PictureRecord, ...]:
    """The pictures of a folder without a list. Appends sentences about those that cannot be told of to `problems`."""
    records = []
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {_reason(error)}; check its rights") from error
    for file in files:
        suffix = file.suffix.lower()
        if suffix not in EXTENSIONS + OTHER_EXTENSIONS:
            continue
        printable = os.fsencode(file.name).decode("utf-8", "backslashreplace")
        if printable != file.name:
            problems.append(f"{printable} has a name that is not UTF-8; rename it")
        elif suffix in OTHER_EXTENSIONS:
            problems.append(f"{file.name} is no picture of a kind that is shown; save it as JPEG, PNG or TIFF")
        else:
            records.append(PictureRecord(file.name, file.stem.replace("-", " ").replace("_", " ")))
    return tuple(records)


def _listed(folder: Path) -> tuple[PictureRecord, ...]:
    path = folder / LIST
    raw = read_toml(path)
    try:
        records = msgspec.convert(raw, _ListRecord).photograph
        for record in records:
            for x, y, a, b in record.hints:
                Hint(x, y, a, b)
    except (msgspec.ValidationError, LivetintError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return records


def _mistakes(folder: Path) -> list[str]:
    """What is wrong with the list and with each file of captions."""
    if not (folder / LIST).exists():
        return []
    sentences = []
    try:
        names = [record.file for record in _listed(folder)]
    except ConfigError as error:
        return [str(error)]
    for path in sorted(folder.glob("captions.*.toml")):
        try:
            caption_files(folder)
            _caption_table(path, names)
        except ConfigError as error:
            sentences.append(str(error))
    return list(dict.fromkeys(sentences))


def check_gallery(folder: Path, max_megapixels: float) -> list[str]:
    """Sentences for staff about what is wrong with an exhibition. Empty when everything is in order."""
    problems: list[str] = []
    try:
        pictures = load_gallery(folder, (), lambda sentence: problems.append(f"{folder}: {sentence}"))
    except ConfigError as error:
        return _mistakes(folder) or [str(error)]
    for language, path in caption_files(folder).items():
        missing = [picture.record.file for picture in pictures.values() if language not in picture.record.titles]
        if missing:
            problems.append(f"{path.name}: nothing is said of {', '.join(missing)}")
    for picture in pictures.values():
        if not picture.record.rights and (folder / LIST).exists():
            problems.append(f"{picture.record.file}: the rights line is empty; say whose the picture is")
        try:
            Photo.open(picture.file, max_megapixels)
        except ImageRejected as error:
            problems.append(str(error))
    return problems
