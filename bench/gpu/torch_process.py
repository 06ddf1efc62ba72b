"""PyTorch's times, from a Python that has PyTorch: this one or another, which needs none of Livetint's dependencies.

The other Python gets the networks' source files, which import torch and NumPy alone, and the weights in an .npz file.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from ...build_engine.planes_bundle import planes_weights
from ...engine.bundle import Bundle
from ...engine.errors import LivetintError, NoDevice
from .processes import Say, environment, read_child, run_limited

# Packages without what their __init__ imports: `livetint.engine` would import ONNX Runtime.
START = """
import sys, types
root = sys.argv[1]
for name in ("", ".engine", ".engine.colour", ".build_engine", ".bench", ".bench.gpu"):
    package = types.ModuleType("livetint" + name)
    package.__path__ = [root + name.replace(".", "/")]
    sys.modules["livetint" + name] = package
from livetint.bench.gpu.pytorch import main
main(*sys.argv[2:])
"""
ROOT = Path(__file__).parents[2]


def time_torch(
    bundles: Mapping[str, Bundle],
    touches: int,
    hints: int,
    limit_s: float,
    say: Say,
    python: str | None = None,
    device: str = "cuda",
) -> dict[str, Any]:
    """What `pytorch.main` finds. python: an interpreter with PyTorch; this one if None.

    hints: in a touch. device: "cpu" for tests. Raises NoDevice if this interpreter is meant and has no PyTorch.
    """
    if python is None and importlib.util.find_spec("torch") is None:
        raise NoDevice("PyTorch is not installed here; name a Python that has it with --torch-python")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {name: _model(bundle, folder / f"{i}.npz") for i, (name, bundle) in enumerate(bundles.items())}
        spec, out = folder / "spec.json", folder / "found.json"
        spec.write_text(json.dumps({"device": device, "touches": touches, "hints": hints, "models": models}))
        command = [python or sys.executable, "-c", START, str(ROOT), str(spec), str(out)]
        return read_child(run_limited(command, limit_s, other_environment(python), folder), out, say)


def _model(bundle: Bundle, path: Path) -> dict[str, Any]:
    """A model as `pytorch.py` takes it. Its weights are written to `path`; none if they do not fit the network, whose
    times do not depend on them."""
    settings = bundle.manifest.input
    staged = settings.kind == "hints"
    weights: dict[str, Any] = {}
    with contextlib.suppress(LivetintError):
        weights = _initialisers(bundle) if staged else dict(planes_weights(bundle))
    np.savez(path, **weights)
    return {"network": bundle.manifest.network, "backbone": bundle.manifest.backbone, "staged": staged,
            "weights": str(path), "size": list(settings.working_size), "local": settings.local,
            "takes_global": settings.takes_global}  # fmt: skip


def _initialisers(bundle: Bundle) -> dict[str, Any]:
    """Parameter name → float32 weights, from every stage."""
    models = [onnx.load_model_from_string(data) for data in bundle.stage_files.values()]
    return {
        initialiser.name: numpy_helper.to_array(initialiser).astype(np.float32)
        for model in models
        for initialiser in model.graph.initializer
    }


def other_environment(python: str | None) -> dict[str, str]:
    """The environment of the interpreter. Another one gets nothing of this one's own: its modules may be for another
    version of Python, and its folders of libraries may shadow those of PyTorch."""
    found = environment()
    if python is None:
        return found
    for name in ("PYTHONPATH", "PYTHONHOME"):
        found.pop(name, None)
    own = [Path(prefix).resolve() for prefix in {sys.prefix, sys.base_prefix} if prefix not in ("/", "/usr")]
    folders = [folder for folder in found.pop("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    kept = [folder for folder in folders if not any(Path(folder).resolve().is_relative_to(prefix) for prefix in own)]
    return found | ({"LD_LIBRARY_PATH": os.pathsep.join(kept)} if kept else {})
