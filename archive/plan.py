"""From files and folders to a list of photographs, and where the coloured copy of each one goes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..engine.errors import ConfigError, OutputError
from ..engine.image.encode import takes_depth
from ..engine.image.formats import EXTENSIONS, OTHER_EXTENSIONS

HINTS_SUFFIX = ".hints.json"
# What a photograph becomes whose format is not written.
DEFAULT_EXTENSION = ".png"
# So many names are listed in a sentence.
NAMED = 5


@dataclass(frozen=True)
class Photograph:
    """A photograph to colour.

    source: its file. name: its path within the folder that was given. output: the path of its coloured copy within the
    output folder. Both have "/". hints: the file of hints beside it (NAME.EXT.hints.json), if there is one.
    """

    source: Path
    name: str
    output: str
    hints: Path | None = None


@dataclass
class Plan:
    """What to do. passed_over: files that are not coloured, each with the reason. unreadable: folders that could not be
    read, each with the reason."""

    photographs: list[Photograph] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def make_plan(sources: Sequence[Path], out: Path, depth: int = 8) -> Plan:
    """The photographs of `sources`, files and folders, in the order of their names.

    depth: bits of the copies; a format that does not have them becomes PNG. Folders are read with all their subfolders.
    Hidden files, links that lead out of a folder and `out` itself are passed over. Raises ConfigError for a source that
    is not there, and OutputError where two copies would have one name or a copy would replace a photograph.
    """
    plan = Plan()
    for source in sources:
        if source.is_dir():
            _Folder(source, out, depth, plan).read()
        elif source.is_file():
            plan.photographs.append(_photograph(source, source.name, _sidecar(source), depth))
        elif os.path.lexists(source):
            raise ConfigError(f"{source} is not an ordinary file, or a link to nothing; give a photograph or a folder")
        else:
            raise ConfigError(f"{source} does not exist; give a photograph or a folder")
    _check_names(plan.photographs)
    _check_originals(plan.photographs, out)
    return plan


class _Folder:
    """A folder of photographs."""

    def __init__(self, root: Path, out: Path, depth: int, plan: Plan) -> None:
        self._root, self._depth, self._plan = root, depth, plan
        self._real, self._out = Path(os.path.realpath(root)), os.path.realpath(out)

    def read(self) -> None:
        """Add what the folder holds to the plan."""
        if str(self._real) == self._out:
            raise OutputError(f"{self._root} cannot hold photographs and results at once; choose another folder for -o")
        for folder, subfolders, files in os.walk(self._root, onerror=self._note_error):
            subfolders[:] = sorted(self._wanted(Path(folder), subfolders))
            for name in sorted(files):
                self._add(Path(folder, name))

    def _wanted(self, folder: Path, subfolders: list[str]) -> Iterator[str]:
        for name in subfolders:
            path = folder / name
            if name.startswith(".") or os.path.realpath(path) == self._out:
                continue
            if path.is_symlink():
                self._plan.passed_over.append(f"{path} (a link to a folder)")
            else:
                yield name

    def _add(self, path: Path) -> None:
        if path.name.startswith(".") or path.name.endswith(HINTS_SUFFIX):
            return
        reason = self._not_taken(path)
        if reason:
            self._plan.passed_over.append(f"{path} ({reason})")
            return
        hints = _sidecar(path)
        if hints and not self._holds(hints):
            self._plan.passed_over.append(f"{path} (its hints are a link out of the folder)")
            return
        self._plan.photographs.append(_photograph(path, path.relative_to(self._root).as_posix(), hints, self._depth))

    def _not_taken(self, path: Path) -> str:
        """Why a file is passed over; empty for a photograph."""
        if path.suffix.lower() in OTHER_EXTENSIONS:
            return "not a picture of a kind that is coloured; save it as JPEG, PNG or TIFF"
        if path.suffix.lower() not in EXTENSIONS:
            return "not a picture"
        if not self._holds(path):
            return "a link out of the folder"
        try:
            return "" if stat.S_ISREG(path.stat().st_mode) else "not an ordinary file"
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    def _holds(self, path: Path) -> bool:
        """Whether a path leads to a place inside the folder."""
        return not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(self._real)

    def _note_error(self, error: OSError) -> None:
        self._plan.unreadable.append(f"the folder {error.filename} cannot be read: {error.strerror}")


def _photograph(source: Path, name: str, hints: Path | None, depth: int) -> Photograph:
    return Photograph(source, name, _output_name(name, depth), hints)


def _output_name(name: str, depth: int) -> str:
    """The same name, with .png in place of an extension that is not written with that depth."""
    path = PurePosixPath(name)
    return name if takes_depth(path.suffix, depth) else str(path.with_suffix(DEFAULT_EXTENSION))


def _sidecar(source: Path) -> Path | None:
    path = source.with_name(source.name + HINTS_SUFFIX)
    return path if os.path.lexists(path) else None


def _check_names(photographs: Sequence[Photograph]) -> None:
    """Raise OutputError where two copies would have one name, or where one needs a folder of another one's name."""
    first: dict[str, Photograph] = {}
    for photograph in photographs:
        other = first.setdefault(photograph.output, photograph)
        if other is not photograph:
            raise OutputError(
                f"{other.source} and {photograph.source} would both become {photograph.output}; "
                "colour them into different folders, or rename one"
            )
    for photograph in photographs:
        for parent in Path(photograph.output).parents:
            if parent.as_posix() in first:
                raise OutputError(
                    f"{first[parent.as_posix()].source} would become a file where {photograph.source} needs a folder "
                    f"({parent}); rename one"
                )


def check_case(photographs: Sequence[Photograph]) -> None:
    """As `make_plan`, for an output folder that does not tell A from a: raise OutputError for names that then agree."""
    first: dict[str, Photograph] = {}
    for photograph in photographs:
        other = first.setdefault(photograph.output.casefold(), photograph)
        if other is not photograph:
            raise OutputError(
                f"{other.source} and {photograph.source} would have one name, because the output folder does not tell "
                "upper from lower case; rename one"
            )


def _check_originals(photographs: Sequence[Photograph], out: Path) -> None:
    sources = {os.path.realpath(photograph.source) for photograph in photographs}
    for photograph in photographs:
        path = out / photograph.output
        if os.path.realpath(path) in sources:
            raise OutputError(f"{path} is one of the photographs, which would be lost; choose another folder for -o")


def named(names: Iterable[str]) -> str:
    """Names for a sentence: the first ones, and how many more there are."""
    listed = list(names)
    more = len(listed) - NAMED
    return ", ".join(listed[:NAMED]) + (f" and {more} more" if more > 0 else "")
