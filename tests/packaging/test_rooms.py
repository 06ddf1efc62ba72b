"""Folders import only what lies below them, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# folder: the others that it may import from
MAY_IMPORT = {
    "engine": set(),
    "calibration": {"engine"},
    "build_engine": {"engine", "calibration"},
    "training": {"engine", "calibration", "build_engine"},
    "bench": {"engine", "calibration", "build_engine", "training", "archive", "video"},
    "kiosk": {"engine"},
    "archive": {"engine"},
    "video": {"engine"},
    "cli": {"engine", "calibration", "build_engine", "training", "bench", "kiosk", "archive", "video"},
}
TERMINAL = {"click", "rich"}  # the command line alone talks to a terminal
# folder: packages that it never imports
FORBIDDEN = {
    "engine": {*TERMINAL, "torch", "starlette", "uvicorn"},
    "kiosk": {*TERMINAL, "torch"},
    "archive": {*TERMINAL, "torch", "starlette", "uvicorn"},
    "video": {*TERMINAL, "torch", "starlette", "uvicorn"},
    "calibration": TERMINAL,
    "build_engine": TERMINAL,
    "training": TERMINAL,
    "bench": TERMINAL,
}


def modules(folder: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))


def targets(path: Path, node: ast.stmt) -> Iterator[tuple[str, ...]]:
    """The modules of Livetint that an import statement names, as parts below `livetint`."""
    if isinstance(node, ast.ImportFrom):
        start = path.parts[: -node.level] if node.level else ()
        if not node.level and (node.module or "").split(".")[0] != "livetint":
            return
        name = (*start, *(node.module or "").split(".")) if node.module else start
        name = name if node.level else name[1:]
        for alias in node.names:
            inner = (*name, alias.name)
            yield inner if module_file(inner) else name
    elif isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.startswith("livetint."):
                yield tuple(alias.name.split(".")[1:])


def module_file(name: tuple[str, ...]) -> Path | None:
    """The file of a module, or None if there is none of this name."""
    for path in (Path(*name).with_suffix(".py"), Path(*name, "__init__.py")):
        if (ROOT / path).is_file():
            return path
    return None


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported; `if TYPE_CHECKING:` does not."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from at_import(node.orelse)
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for inner in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(node, inner, []))
        else:
            yield node


def imported(path: Path) -> set[Path]:
    """The files that a module imports when it is imported itself."""
    found = {module_file(name) for node in at_import(tree_of(path).body) for name in targets(path, node)}
    return {file for file in found if file is not None and file != path}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_lies_below_it(folder: str):
    wrong = [
        f"{path}:{node.lineno} imports {'.'.join(name)}"
        for path in modules(folder)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.stmt)
        for name in targets(path, node)
        if name[0] not in MAY_IMPORT[folder] | {folder}
    ]
    assert wrong == []


def test_the_kiosks_engine_does_not_import_its_server():
    wrong = [
        path for path in modules("kiosk/engine") if any(f.parts[:2] == ("kiosk", "server") for f in imported(path))
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_does_not_import_packages_that_are_not_for_it(folder: str):
    names = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]: str(path)
        for path in modules(folder)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        for alias in node.names
    }
    assert {name: names[name] for name in FORBIDDEN[folder] & names.keys()} == {}


def test_no_modules_import_each_other_in_a_circle():
    graph = {path: imported(path) for folder in MAY_IMPORT for path in modules(folder)}
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, " → ".join(map(str, (*trail[trail.index(path) :], path)))
        if path not in done:
            for target in sorted(graph.get(path, ())):
                visit(target, (*trail, path))
            done.add(path)

    for path in graph:
        visit(path, ())


def test_imports_are_found():
    assert Path("engine/hints.py") in imported(Path("engine/session.py"))
    assert Path("engine/errors.py") in imported(Path("cli/terminal.py"))
    assert Path("bench/measure.py") in imported(Path("bench/latency/run.py"))
