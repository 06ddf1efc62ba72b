"""The benches that are started as modules: mistakes end in one line and exit code 2, before any work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("accuracy.sheets", ["nothing.tar", "-o", "sheet.png"], "nothing.tar is neither a folder nor a tar"),
        ("accuracy.sheets", [], "Missing argument"),
        ("report.readme_figure", ["-o", "picture.png", "--photo", "nothing.jpg"], "nothing.jpg does not exist"),
        ("report.readme_figure", ["-o", "picture.odd"], "extension '.odd'"),
        ("gpu.run", ["--display", "wide"], "wide"),
        ("gpu.run", ["--json", "missing/gpu.json"], "the folder missing does not exist"),
        ("kiosk.latency", ["--json", "missing/kiosk.json"], "the folder missing does not exist"),
        ("kiosk.latency", ["--moves", "1"], "--moves"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path: Path, module: str, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", f"livetint.bench.{module}", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("livetint: ") and done.stderr.count("\n") == 1 and words in done.stderr
    assert list(tmp_path.iterdir()) == []
