"""The bench is a library: no command line is in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import livetint.bench.measure
import pytest

FOLDER = Path(livetint.bench.measure.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports."""
    package = ("livetint", "bench", *path.relative_to(FOLDER).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield from (".".join((*base, node.module or alias.name)) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_imports_neither_the_command_line_nor_the_kiosk(path: Path):
    forbidden = ("livetint.cli", "livetint.kiosk", "click", "rich")
    assert not [name for name in imported(path) if f"{name}.".startswith(tuple(f"{word}." for word in forbidden))]
    assert "__main__" not in path.read_text("utf-8").replace("livetint.cli.__main__", "")


def test_imports_are_resolved():
    assert "livetint.engine.runners.onnx" in set(imported(FOLDER / "latency" / "against.py"))
    assert "livetint.engine.bundle" in set(imported(FOLDER / "environment.py"))
