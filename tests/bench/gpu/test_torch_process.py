"""PyTorch is timed by a Python that has torch and NumPy alone. On a CPU there is no graph; the rest is the same."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from livetint.bench.gpu.torch_process import other_environment, time_torch
from livetint.build_engine.planes_bundle import write_untrained
from livetint.engine.bundle import Bundle
from livetint.engine.errors import NoDevice
from livetint.engine.models import find_model

from ...needs import needs

# torch, NumPy and what they need themselves.
MODULES = (
    "torch", "torchgen", "functorch", "numpy", "numpy.libs", "typing_extensions", "sympy", "mpmath", "networkx",
    "jinja2", "markupsafe", "filelock", "fsspec",
)  # fmt: skip


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """A Python with torch and NumPy alone."""
    folder = tmp_path / "packages"
    folder.mkdir()
    site = Path(importlib.util.find_spec("torch").origin).parent.parent  # type: ignore[union-attr,arg-type]
    for name in MODULES:
        for path in (site / name, site / f"{name}.py"):
            if path.exists():
                (folder / path.name).symlink_to(path)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    return str(python)


def run(bundles: dict[str, Bundle], python: str | None, said: list[str], **options: Any) -> dict[str, Any]:
    return time_torch(bundles, 4, 3, 300, said.append, python, **options)


@needs("torch")
def test_a_python_with_torch_and_numpy_alone_times_both_kinds_of_network(bare_python: str, tmp_path: Path):
    lacking = subprocess.run([bare_python, "-c", "import msgspec"], capture_output=True, check=False)
    assert lacking.returncode, "this Python should lack Livetint's dependencies"
    said: list[str] = []
    bundles = {"touch": find_model("touch"), "siggraph17": write_untrained(tmp_path / "siggraph17", "siggraph17")}
    found = run(bundles, bare_python, said, device="cpu")
    assert "not_done" not in found and found["torch"], said
    models = found["models"]
    assert list(models) == ["siggraph17", "touch"] and models["touch"]["weights"] == "the model's"
    assert set(models["touch"]["events"]) == {"touch", "encoder"} and set(models["siggraph17"]["events"]) == {"network"}
    for model in models.values():
        for part in model["events"].values():
            assert part["direct"]["n"] == 4 and part["direct"]["p50"] > 0


@needs("torch")
def test_a_torch_without_a_gpu_says_so(bare_python: str):
    assert "reaches no GPU" in run({}, bare_python, [])["not_done"]


def test_a_python_without_torch_says_so(tmp_path: Path):
    empty = tmp_path / "python"
    empty.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    empty.chmod(0o755)
    said: list[str] = []
    found = run({}, str(empty), said)
    assert "ModuleNotFoundError" in found["not_done"] and "Traceback" in said[0]
    assert "cannot be started" in run({}, str(tmp_path / "none"), said)["not_done"]


def test_without_torch_here_another_python_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoDevice, match="--torch-python"):
        run({}, None, [])


def test_another_python_gets_no_modules_and_libraries_of_this_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", "/here")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{sys.prefix}/lib:/driver")
    env = other_environment("python3")
    assert "PYTHONPATH" not in env and env["LD_LIBRARY_PATH"] == "/driver"
    assert other_environment(None)["PYTHONPATH"] == "/here"
