"""CONTRIBUTING.md is one page, and the files, names and make targets that it mentions exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
WORDS = re.findall(r"`([^`]+)`", TEXT)
PATHS = sorted({word for word in WORDS if re.fullmatch(r"[\w.-]+(/[\w.-]*)+|[\w-]+\.(toml|txt|md)", word)})
NAMES = re.findall(r"`(\w+)`\s+in\s+`([^`]+)`", TEXT)


def test_it_is_one_page_with_a_recipe_for_each_kind_of_addition():
    assert len(TEXT.splitlines()) <= 90
    for thing in ("model", "kernel", "TensorRT target", "measure", "language"):
        assert f"## Add a {thing}" in TEXT


@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith(".venv/")])
def test_a_path_exists(path: str):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), NAMES)
def test_a_name_is_in_its_file(name: str, path: str):
    assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize("target", sorted({word.removeprefix("make ") for word in WORDS if word.startswith("make ")}))
def test_a_make_target_exists(target: str):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
