"""The comparison of the page's own touches with the engine's, for the terminal."""

from __future__ import annotations

import numpy as np
from livetint.bench.kiosk.in_browser import CHANGES, COUNTS, WAYS, as_lines
from livetint.bench.kiosk.latency import STAGES, summary


def test_lines_name_both_ways_and_every_touch() -> None:
    stages = {stage: summary(list(np.linspace(1, 50, 700))) for stage in ("ab_ms", *STAGES)}
    touches = [
        {"hints": count, "change": change, "matched": matched, "page_ms": 1.0, "native_ms": 2.0, "ratio": 0.5}
        for count in COUNTS
        for change in CHANGES
        for matched in (False, True)
    ]
    lines = as_lines({"ways": dict.fromkeys(WAYS, stages), "touches": touches}).splitlines()
    assert lines[1].split() == ["event", "→", "ab,", "page", "700", "25.5", "47.5", "49.5"]
    assert "16 hints, one moved                    1.0      2.0      0.5" in lines
    assert len([line for line in lines if "all new" in line]) == 2 * len(COUNTS)
