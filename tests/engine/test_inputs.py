"""Scaling of ab and conversion from sRGB to Lab are each defined in one module."""

from __future__ import annotations

import re
from pathlib import Path

import livetint.engine
import pytest

ENGINE = Path(livetint.engine.__file__).resolve().parent
PACKAGES = ("engine", "build_engine", "calibration", "training", "bench", "cli", "kiosk")


def sources() -> dict[str, str]:
    """Path inside the package → text of every Python file."""
    root = ENGINE.parent
    return {
        str(path.relative_to(root)): path.read_text("utf-8")
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }


@pytest.mark.parametrize(
    ("pattern", "modules"),
    [
        (r"\b110\.0|\bAB_SCALE\s*(?::[^=\n]*)?=(?!=)|/ 110\b|\* 110\b", {"engine/inputs.py"}),
        # The compositor converts Lab to sRGB by OpenCV, equal to colour/cielab.py by its tests; the bench times it.
        (
            r"cv2\.COLOR_(RGB|BGR)2L[Aa][Bb]|cv2\.COLOR_L[Aa][Bb]2",
            {"engine/image/compose.py", "bench/latency/references.py"},
        ),
        (r"\b0\.04045\b|\b0\.008856\b", {"engine/colour/cielab.py"}),
    ],
)  # fmt: skip
def test_formulas_are_in_one_module(pattern, modules):
    found = {name for name, text in sources().items() if any(re.search(pattern, code) for code in lines(text))}
    assert found == modules


def lines(text: str) -> list[str]:
    """The lines of code, without docstrings and comments."""
    code = re.sub(r'"""[\s\S]*?"""', "", text)
    return [line.split("#", 1)[0] for line in code.splitlines()]
