"""Changes of an exhibition's folder by staff: its list, its captions, its pictures.

Each file is replaced in one step. Comments, order and keys that Livetint does not know stay as they are.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, AoT, Table

from ....engine.errors import ConfigError, LivetintError
from ....engine.files import atomic_write, write_error
from ....engine.hints import Hint
from ....engine.image.formats import EXTENSIONS
from ...settings import LANGUAGES
from ..exhibition import LIST, load_gallery
from ..labels import plain_name

TEXTS = ("title", "photographer", "year", "source", "rights")
MAX_TEXT = 2000
MAX_HINTS = 32
HintValues = tuple[float, float, float, float]


class Stale(LivetintError):
    """Somebody changed the exhibition after the page was made."""


class NotChanged(LivetintError):
    """A change that cannot be made. `word` names the sentence for staff."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


@dataclass(frozen=True)
class Entry:
    """One photograph of the list. texts: by TEXTS. titles, captions: by language. hints: those of the attract loop."""

    file: str
    texts: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    hints: tuple[HintValues, ...] = ()


class ExhibitionFolder:
    """One exhibition's folder. All methods block; raise ConfigError where a file of it has a mistake, OutputError where
    it cannot be written, Stale and NotChanged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def edition(self) -> str:
        """Changes with every change of the list and the captions."""
        digest = hashlib.sha256()
        try:
            for path in (self.folder / LIST, *sorted(self.folder.glob("captions.*.toml"))):
                digest.update(path.name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be read: {error.strerror or error}; check its rights") from error
        return digest.hexdigest()[:16]

    def entries(self) -> list[Entry]:
        """The photographs of the list, in order, also those that cannot be shown now."""
        captions = {language: self._read(self._captions_path(language)) for language in LANGUAGES}
        return [_entry(table, captions) for table in self._tables(self._list())]

    def save(self, entry: Entry, edition: str) -> None:
        """Change a photograph's texts, captions and hints."""
        self._check(edition)
        if not entry.texts.get("title", "").strip():
            raise NotChanged("title_missing", "a photograph needs a title")
        for values in entry.hints:
            Hint(*values)
        document = self._list()
        table = self._table(document, entry.file)
        for name in TEXTS:
            _set_text(table, name, entry.texts.get(name, ""))
        _set_hints(table, entry.hints[:MAX_HINTS])
        changed = {language: self._with_caption(language, entry) for language in LANGUAGES}
        for language, text in changed.items():
            if text is not None:
                atomic_write(self._captions_path(language), text.encode())
        self._write(document)

    def move(self, file: str, step: int, edition: str) -> None:
        """Move a photograph by `step` places in the order."""
        self._check(edition)
        document = self._list()
        tables = self._tables(document)
        at = tables.index(self._table(document, file))
        tables.insert(max(0, min(len(tables) - 1, at + step)), tables.pop(at))
        self._replace_tables(document, tables)

    def remove(self, file: str, edition: str) -> None:
        """Take a photograph off the list and out of the captions. Its file stays in the folder."""
        self._check(edition)
        document = self._list()
        tables = [table for table in self._tables(document) if table.get("file") != file]
        if not tables:
            raise NotChanged("last_photograph", "an exhibition needs a photograph")
        for language in LANGUAGES:
            path = self._captions_path(language)
            captions = self._read(path)
            if captions.pop(file, None) is not None:
                atomic_write(path, tomlkit.dumps(captions).encode())
        self._replace_tables(document, tables)

    def add(self, name: str, data: bytes) -> str:
        """Put a picture that was looked at into the folder, at the end of the list. Returns the name of its file."""
        document = self._list()
        file = self._free_name(name)
        atomic_write(self.folder / file, data)
        table = tomlkit.table()
        table["file"] = file
        table["title"] = Path(name).stem.replace("-", " ").replace("_", " ").strip() or file
        try:
            self._replace_tables(document, [*self._tables(document), table])
        except LivetintError:
            (self.folder / file).unlink(missing_ok=True)
            raise
        return file

    # Files

    def _check(self, edition: str) -> None:
        if edition != self.edition():
            raise Stale("somebody else changed the exhibition meanwhile")

    def _read(self, path: Path) -> tomlkit.TOMLDocument:
        try:
            text = path.read_text("utf-8-sig") if path.exists() else ""
            return tomlkit.parse(text)
        except (OSError, UnicodeDecodeError, TOMLKitError) as error:
            raise ConfigError(f"{path}: {error}") from error

    def _list(self) -> tomlkit.TOMLDocument:
        """The list; where there is none, one of all pictures of the folder."""
        document = self._read(self.folder / LIST)
        if "photograph" not in document:
            document["schema"] = document.get("schema", 1)
            tables = tomlkit.aot()
            if not (self.folder / LIST).exists():
                for picture in load_gallery(self.folder).values():
                    table = tomlkit.table()
                    table["file"], table["title"] = picture.record.file, picture.record.title
                    tables.append(table)
            document["photograph"] = tables
        if not isinstance(document["photograph"], AoT):
            raise ConfigError(f"{self.folder / LIST}: write each picture as a table [[photograph]]")
        return document

    def _tables(self, document: tomlkit.TOMLDocument) -> list[Table]:
        tables = document["photograph"]
        return list(tables) if isinstance(tables, AoT) else []

    def _table(self, document: tomlkit.TOMLDocument, file: str) -> Table:
        for table in self._tables(document):
            if table.get("file") == file:
                return table
        raise Stale(f"{file} is not on the list any more")

    def _replace_tables(self, document: tomlkit.TOMLDocument, tables: list[Table]) -> None:
        renewed = tomlkit.aot()
        for table in tables:
            renewed.append(table)
        document["photograph"] = renewed
        self._write(document)

    def _write(self, document: tomlkit.TOMLDocument) -> None:
        atomic_write(self.folder / LIST, tomlkit.dumps(document).encode())

    def _captions_path(self, language: str) -> Path:
        return self.folder / f"captions.{language}.toml"

    def _with_caption(self, language: str, entry: Entry) -> str | None:
        """The file of captions of a language with those of `entry`, None where nothing changes."""
        captions = self._read(self._captions_path(language))
        before = tomlkit.dumps(captions)
        title, caption = entry.titles.get(language, ""), entry.captions.get(language, "")
        if not title and not caption:
            captions.pop(entry.file, None)
        else:
            table = captions.get(entry.file)
            if not isinstance(table, AbstractTable):
                table = captions[entry.file] = tomlkit.table()
                table = captions[entry.file]
            _set_text(table, "title", title or entry.texts["title"])
            _set_text(table, "caption", caption)
        after = tomlkit.dumps(captions)
        return after if after != before else None

    def _free_name(self, name: str) -> str:
        """A plain name for a new file, which none in the folder has."""
        check_name(name)
        extension = Path(name).suffix.lower()
        stem = re.sub(r"[^\w-]+", "-", plain_name(Path(name).stem)).strip("-").lower() or "photograph"
        free = f"{stem}{extension}"
        while (self.folder / free).exists():
            free = f"{stem}-{secrets.token_hex(2)}{extension}"
        return free


def check_name(name: str) -> None:
    """Raise NotChanged where a new file is not named as a picture."""
    if Path(name).suffix.lower() not in EXTENSIONS:
        raise NotChanged("refused_picture", f"{name!r} is not named as a picture ({', '.join(EXTENSIONS)})")


def copy_folder(source: Path, name: str) -> Path:
    """Copy an exhibition to a new folder, whole or not at all. `name`: its absolute path, which is returned.

    Raises NotChanged where that cannot be one, OutputError where it cannot be written.
    """
    try:
        target = Path(name).expanduser()
        is_taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: nobody has this home
        raise NotChanged("folder_absolute", f"{name!r} is no path: {error}") from error
    if not target.is_absolute() or "\0" in name:
        raise NotChanged("folder_absolute", f"{target} is no absolute path")
    if is_taken:
        raise NotChanged("folder_taken", f"{target} exists and is not empty")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, temporary)
        temporary.replace(target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise write_error(target, error) from error
    return target


def _entry(table: Table, captions: Mapping[str, tomlkit.TOMLDocument]) -> Entry:
    file = str(table.get("file", ""))
    tables = {language: document.get(file) for language, document in captions.items()}
    told = {language: found for language, found in tables.items() if isinstance(found, AbstractTable)}
    return Entry(
        file,
        {name: str(table.get(name, "")) for name in TEXTS},
        {language: str(found.get("title", "")) for language, found in told.items()},
        {language: str(found.get("caption", "")) for language, found in told.items()},
        _hints(table.get("hints")),
    )


def _hints(values: Any) -> tuple[HintValues, ...]:
    try:
        return tuple((float(x), float(y), float(a), float(b)) for x, y, a, b in values or ())
    except (TypeError, ValueError):
        return ()


def _set_text(table: AbstractTable, name: str, value: str) -> None:
    """Set a text where it changed. An empty one is removed, unless the table had the key already."""
    text = value.strip()[:MAX_TEXT]
    if str(table.get(name, "")) != text and (text or name in table):
        table[name] = text


def _set_hints(table: Table, hints: tuple[HintValues, ...]) -> None:
    if _hints(table.get("hints")) == hints:
        return
    rows = tomlkit.array().multiline(True)
    for x, y, a, b in hints:
        rows.append([round(x, 3), round(y, 3), round(a, 1), round(b, 1)])
    table["hints"] = rows
