"""Reads an exhibition: the bundled photographs, or a folder that staff made.

A folder holds pictures, one `photographs.toml`, and one `captions.LANGUAGE.toml` per language; the bundled folder is
an example of all. Pictures are addressed by an id made from their content, never by a path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...engine.errors import ConfigError, ImageRejected, LivetintError
from ...engine.files import read_toml
from ...engine.hints import Hint
from ...engine.image.photo import Photo
from ..messages import PictureRef
from ..settings import LANGUAGES, nearest
from .pictures import Picture, PictureRecord

LIST = "photographs.toml"
ID_DIGITS = 16
# Device, inode, size and time of change: what tells a changed file without reading it.
Stamp = tuple[int, ...]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


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


def load_gallery(folder: Path, known: Iterable[GalleryPicture] = ()) -> dict[str, GalleryPicture]:
    """id → picture, in the order of the list; without a list every picture by name.

    known: pictures that were read before; their files are read again only where they changed. Raises ConfigError
    naming the file at fault.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; give the folder of the exhibition's photographs")
    root = folder.resolve()
    versions = {(picture.file, picture.stamp): picture.ref.version for picture in known}
    pictures = {}
    for record in _records(folder):
        path = (folder / record.file).resolve()
        if not path.is_relative_to(root):
            raise ConfigError(f"{folder / LIST}: {record.file} leads out of the folder; copy the picture into it")
        if not path.is_file():
            raise ConfigError(
                f"{folder / LIST}: {record.file} is missing, or no file; copy the picture into the folder"
            )
        try:
            version, stamp = _read_version(path, versions)
        except OSError as error:
            raise ConfigError(f"{folder / LIST}: {record.file} cannot be read: {error.strerror}") from error
        ref = PictureRef(version[:ID_DIGITS], version)
        pictures[ref.id] = GalleryPicture(ref, record, path, stamp)
    if not pictures:
        raise ConfigError(f"{folder} holds no photographs; add some ({', '.join(EXTENSIONS)})")
    return pictures


def _read_version(path: Path, versions: Mapping[tuple[Path, Stamp], str]) -> tuple[str, Stamp]:
    """SHA-256 of a file's content, and the file's stamp. `versions`: what is known by path and stamp already."""
    with path.open("rb") as file:
        stamp = _stamp(file.fileno())
        return versions.get((path, stamp)) or hashlib.sha256(file.read()).hexdigest(), stamp


def _stamp(descriptor: int) -> Stamp:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _records(folder: Path) -> tuple[PictureRecord, ...]:
    records = _listed(folder)
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
    captions = {}
    for language, path in caption_files(folder).items():
        try:
            table = msgspec.convert(read_toml(path), dict[str, CaptionRecord])
        except (msgspec.ValidationError, LivetintError) as error:
            raise ConfigError(f"{path}: {error}") from error
        for name in table:
            if name not in names:
                raise ConfigError(f"{path}: there is no picture {name!r} on show; {nearest(name, names)}")
        captions[language] = table
    return captions


def _listed(folder: Path) -> tuple[PictureRecord, ...]:
    path = folder / LIST
    if not path.exists():
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS and not f.name.startswith("."))
        return tuple(PictureRecord(f.name, f.stem.replace("-", " ").replace("_", " ")) for f in files)
    try:
        records = msgspec.convert(read_toml(path), _ListRecord).photograph
        for record in records:
            for x, y, a, b in record.hints:
                Hint(x, y, a, b)
    except (msgspec.ValidationError, LivetintError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return records


def check_gallery(folder: Path, max_megapixels: float) -> list[str]:
    """Sentences for staff about what is wrong with an exhibition. Empty when everything is in order."""
    try:
        pictures = load_gallery(folder)
    except ConfigError as error:
        return [str(error)]
    problems = []
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
