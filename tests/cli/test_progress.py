"""Progress bars: each fits on a line, whatever it counts."""

from __future__ import annotations

import io
import re

import pytest
from livetint.cli import progress
from rich.console import Console


@pytest.mark.parametrize("width", [80, 60])
def test_a_bar_fits_on_a_line_and_says_how_much_is_left(monkeypatch: pytest.MonkeyPatch, width: int):
    written = io.StringIO()
    terminal = Console(file=written, width=width, force_terminal=True, legacy_windows=False)
    monkeypatch.setattr(progress, "Console", lambda stderr: terminal)
    with progress.Bars() as bars:
        bars.set("timing", 100, 1200, "touch_to_pixels_1080p_128 of [another] build")
        bars.set("photographs", 12345, 100000)
        bars.tick("compositing photographs for the ranges of INT8", 300)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue()).rstrip().splitlines()[-3:]
    assert all(len(line.strip("\r")) <= width and line.rstrip().endswith(" left") for line in lines)
    for line, (start, count) in zip(
        lines, [("timing: ", "100/1200"), ("phot", "12345/100000"), ("comp", "1/300")], strict=True
    ):
        assert line.lstrip("\r").startswith(start) and f" {count} " in line
