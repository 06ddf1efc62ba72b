"""The pictures on show: the bundled photographs, or a folder per exhibition.

A folder holds pictures, one `photographs.toml`, and one `captions.LANGUAGE.toml` per language; the bundled folder is
an example of all. Pictures are addressed by an id made from their content, never by a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ...engine.errors import ConfigError, ImageRejected, LivetintError
from ...engine.files import read_toml
from ...engine.hints import Hint
from ...engine.image.photo import Photo
from ..messages import PictureRef
from ..settings import LANGUAGES, nearest

LIST = "photographs.toml"
EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


class PictureRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One [[photograph]]. `hints` are [x, y, a, b] in 0…1 and CIELAB units; the attract loop uses them."""

    file: str
    title: str
    photographer: str = ""
    year: str = ""
    source: str = ""
    rights: str = ""
    colour: bool = False
    titles: dict[str, str] = {}
    captions: dict[str, str] = {}
    hints: tuple[tuple[float, float, float, float], ...] = ()


class _ListRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    photograph: tuple[PictureRecord, ...]
    schema: int = 1


class CaptionRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture in one language."""

    title: str
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture on show: `id` is safe in an address, `path` stays in the house. `own`: a visitor brought it.

    version: see PictureRef."""

    id: str
    path: Path
    record: PictureRecord
    own: bool = False
    version: str = ""

    @property
    def ref(self) -> PictureRef:
        """The picture as the engine knows it."""
        return PictureRef(self.id, self.version)

    def for_visitors(self) -> dict[str, Any]:
        """What the browser is told."""
        table = msgspec.to_builtins(self.record)
        told = {k: v for k, v in table.items() if k not in ("file", "source", "colour")}
        return {"id": self.id, "own": self.own, **told}


def bundled_photos() -> Path:
    """The photographs inside the installed package."""
    return Path(__file__).resolve().parents[2] / "photos"


def load_gallery(folder: Path) -> dict[str, Picture]:
    """id → picture, in the order of the list; without a list every picture by name.

    Raises ConfigError naming the file at fault.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; give the folder of the exhibition's photographs")
    root = folder.resolve()
    pictures = {}
    for record in _records(folder):
        path = (folder / record.file).resolve()
        if not path.is_relative_to(root):
            raise ConfigError(f"{folder / LIST}: {record.file} leads out of the folder; copy the picture into it")
        try:
            version = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"{folder / LIST}: {record.file} cannot be read: {error.strerror}") from error
        pictures[version[:16]] = Picture(version[:16], path, record, version=version)
    if not pictures:
        raise ConfigError(f"{folder} holds no photographs; add some ({', '.join(EXTENSIONS)})")
    return pictures


def _records(folder: Path) -> tuple[PictureRecord, ...]:
    records = _listed(folder)
    names = [record.file for record in records]
    spoken = _captions(folder, names)
    return tuple(_with_captions(record, spoken) for record in records)


def _with_captions(record: PictureRecord, spoken: dict[str, dict[str, CaptionRecord]]) -> PictureRecord:
    found = {language: table[record.file] for language, table in spoken.items() if record.file in table}
    titles = {language: words.title for language, words in found.items()}
    captions = {language: words.caption for language, words in found.items() if words.caption}
    return msgspec.structs.replace(record, titles={**record.titles, **titles}, captions={**record.captions, **captions})


def caption_files(folder: Path) -> dict[str, Path]:
    """Language → file of its captions. Raises ConfigError for a language the kiosk does not speak."""
    files = {}
    for path in sorted(folder.glob("captions.*.toml")):
        language = path.name.split(".")[1]
        if language not in LANGUAGES:
            raise ConfigError(f"{path}: there is no language {language!r}; {nearest(language, LANGUAGES)}")
        files[language] = path
    return files


def _captions(folder: Path, names: Sequence[str]) -> dict[str, dict[str, CaptionRecord]]:
    """Language → picture's file → its words."""
    spoken = {}
    for language, path in caption_files(folder).items():
        try:
            table = msgspec.convert(read_toml(path), dict[str, CaptionRecord])
        except (msgspec.ValidationError, LivetintError) as error:
            raise ConfigError(f"{path}: {error}") from error
        for name in table:
            if name not in names:
                raise ConfigError(f"{path}: there is no picture {name!r} on show; {nearest(name, names)}")
        spoken[language] = table
    return spoken


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
    """Sentences about what is wrong with an exhibition; empty when all pictures open. For staff."""
    try:
        pictures = load_gallery(folder)
    except ConfigError as error:
        return [str(error)]
    problems = []
    for language, path in caption_files(folder).items():
        silent = [picture.record.file for picture in pictures.values() if language not in picture.record.titles]
        if silent:
            problems.append(f"{path.name}: nothing is said of {', '.join(silent)}")
    for picture in pictures.values():
        if not picture.record.rights and (folder / LIST).exists():
            problems.append(f"{picture.record.file}: the rights line is empty; say whose the picture is")
        try:
            Photo.open(picture.path, max_megapixels)
        except ImageRejected as error:
            problems.append(str(error))
    return problems
