"""Record what `bench/report/compare.py` judges, of the bundled network, for the tests of the verdict.

python -m tests.bench.recording OUT.json          # a run as it is
python -m tests.bench.recording OUT.json 1.2      # every touch takes a fifth longer than it needs
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from livetint.bench import environment
from livetint.bench.latency import paired, samples
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner

NUMBERS = (16, 128)
MAX_PAIRS = 8


def slowed_down(touch: Callable[..., Any], factor: float) -> Callable[..., Any]:
    """A function that calls `touch` and then computes until `factor` times the CPU time of the call has passed."""

    def slow(*arguments: Any) -> Any:
        start = time.process_time()
        answer = touch(*arguments)
        end = start + factor * (time.process_time() - start)
        while time.process_time() < end:
            pass
        return answer

    return slow


def trimmed(table: dict[str, Any]) -> dict[str, Any]:
    """At most eight pairs in each round, evenly spread over those measured."""
    return {
        name: {key: rows if key == "reference" else [_evenly(part) for part in rows] for key, rows in stage.items()}
        for name, stage in table.items()
    }


def _evenly(part: list[float]) -> list[float]:
    places = np.linspace(0, len(part) - 1, min(len(part), MAX_PAIRS)).round().astype(int)
    return [part[place] for place in places]


def main(output: str, factor: str = "1") -> None:
    """Measure and write."""
    if float(factor) > 1:
        OnnxRunner.colorize = slowed_down(OnnxRunner.colorize, float(factor))  # type: ignore[method-assign]
    with OnnxRunner(find_model("touch")) as runner:
        found = paired.measure(
            lambda: paired.twin(runner, NUMBERS), paired.clock_of(runner), samples.default_length_s(samples.TOUCHES)
        )
    table = {
        "schema": samples.SCHEMA,
        "kind": "latency",
        "device": "cpu",
        "machine": {"processor": environment.machine()["processor"]},
        "versions": environment.versions(),
        "relative": trimmed(paired.as_table(found)),
    }
    Path(output).write_text(json.dumps(table, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
