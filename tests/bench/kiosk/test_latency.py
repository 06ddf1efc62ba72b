"""Percentiles of the moves of a drag."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.bench.kiosk.latency import STAGES, Settings, as_lines, summary


@pytest.mark.parametrize(
    ("moves", "known"), [(0, ""), (100, "p50"), (129, "p50"), (130, "p50 p95"), (500, "p50 p95"), (662, "p50 p95 p99")]
)
def test_a_percentile_of_too_few_moves_is_left_out(moves: int, known: str) -> None:
    row = summary(list(np.linspace(1, 100, moves)))
    assert row["n"] == moves
    assert [key for key in ("p50", "p95", "p99") if row[key] is not None] == known.split()


def test_the_default_number_of_moves_is_enough_for_every_percentile() -> None:
    assert None not in summary([1.0] * Settings().moves).values()


def test_the_table_says_how_many_moves_a_missing_percentile_needs() -> None:
    drawing = {"kind": "webgl", "canvas": [640, 480], "pictures_per_s": 30.0}
    found = {"moves": 500, "stages": {stage: summary([2.0] * 500) for stage in STAGES}, "drawing": drawing}
    lines = as_lines(found | {"bounded_by": "draw"}).splitlines()
    assert "p99 needs 662 moves" in lines[-2] and "p95" not in lines[-2]
    assert lines[1].split() == ["wait", "500", "2.0", "2.0", "-"]
