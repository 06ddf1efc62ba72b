"""The wheel in a fresh environment, used outside the checkout; and an editable install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def run(*command: object, cwd: Path) -> str:
    """stdout of a command that must succeed, run outside the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    return next(folder.glob("livetint-*.whl"))


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory) -> Path:
    """A folder with an environment of the wheel and its base dependencies, nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    run(folder / "venv/bin/python", "-m", "pip", "install", "-q", wheel, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def editable(fresh, tmp_path_factory) -> Path:
    """A folder with an environment of an editable install; the dependencies are links to those of `fresh`."""
    folder = tmp_path_factory.mktemp("editable")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    packages = next((folder / "venv/lib").glob("python*/site-packages"))
    for entry in next((fresh / "venv/lib").glob("python*/site-packages")).iterdir():
        if not entry.name.startswith("livetint"):
            (packages / entry.name).symlink_to(entry)
    run(folder / "venv/bin/python", "-m", "pip", "install", "-q", "--no-deps", "-e", ROOT, cwd=folder)
    return folder


def test_the_wheel_is_pure_and_holds_the_model_and_the_photographs(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "models/touch/model.toml", "photos/photographs.toml", "engine/session.py", "cli/__main__.py", "__main__.py",
        "kiosk/web/touch/kernels.wasm",
    ):  # fmt: skip
        assert f"livetint/{wanted}" in names
    assert not [n for n in names if "__pycache__" in n or n.startswith(("tests/", "livetint/tests"))]
    assert wheel.stat().st_size < 25 * 2**20


def test_it_colours_suggests_and_lists_without_torch_or_a_compiler(fresh):
    livetint = fresh / "venv/bin/livetint"
    photos = next((fresh / "venv/lib").glob("python*/site-packages/livetint/photos"))
    photo = photos / "abandoned-dust-bowl-home.jpg"
    run(livetint, "colorize", photo, "-o", "out.png", "--hint", "300,150,#6FA0D8", cwd=fresh)
    assert Image.open(fresh / "out.png").size == Image.open(photo).size
    swatches = json.loads(run(livetint, "suggest", photo, "300,150", "--json", cwd=fresh))["swatches"]
    assert len(swatches) == 9
    assert "touch" in run(livetint, "models", "list", cwd=fresh)
    installed = run(fresh / "venv/bin/python", "-m", "pip", "list", cwd=fresh).lower()
    assert "torch" not in installed and "livetint" in installed
    assert "ready" in run(livetint, "doctor", cwd=fresh)


@pytest.fixture
def checkout(fresh, tmp_path):
    """A folder with .venv and photos, as a checkout is after `make kiosk`."""
    (tmp_path / ".venv").symlink_to(fresh / "venv")
    (tmp_path / "photos").symlink_to(ROOT / "photos")
    return tmp_path


def test_the_commands_of_the_readme_run(checkout):
    block = (ROOT / "README.md").read_text("utf-8").split("## Use\n")[1].split("```\n")[1]
    assert block.count(".venv/bin/livetint ") == 8
    run("bash", "-euc", block, cwd=checkout)
    coloured = {path.name for path in (checkout / "coloured").iterdir()}
    assert coloured == {"livetint-manifest.jsonl", *(path.name for path in (ROOT / "photos").glob("*.jpg"))}


def test_the_five_lines_of_the_readme_run(fresh, checkout):
    code = (ROOT / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 6
    run(fresh / "venv/bin/python", "-c", code, cwd=checkout)
    assert (checkout / "coloured.png").exists()


@pytest.mark.parametrize("install", ["fresh", "editable"])
def test_python_m_livetint_is_the_command(install: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(install)
    python, command = folder / "venv/bin/python", folder / "venv/bin/livetint"
    assert run(python, "-m", "livetint", "--help", cwd=folder) == run(command, "--help", cwd=folder)
    assert "touch" in run(python, "-m", "livetint", "models", "list", cwd=folder)
    wrong = [python, "-m", "livetint", "colorize", "missing.jpg", "-o", "out.png"]
    done = subprocess.run([str(word) for word in wrong], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("livetint: missing.jpg does not exist")
