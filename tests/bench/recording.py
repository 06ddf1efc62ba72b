"""Record a run of the bundled network for the tests of the verdict.

python -m tests.bench.recording OUT.json          # a run as it is
python -m tests.bench.recording OUT.json 1.2      # every touch takes a fifth longer than it needs
python -m tests.bench.recording OUT.json 1 1      # a run on one thread
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from livetint.bench import run_latency
from livetint.engine.models import find_model
from livetint.engine.onnx_runner import OnnxRunner, usual_threads

STAGES = (
    "touch_to_ab_16", "touch_to_ab_128", "distribution_16", "encode", "compose_1080p", "touch_to_pixels_1080p_16",
    "hints_to_input_16",
)  # fmt: skip
MOST_SAMPLES = 24
# Half of a usual run: about a minute.
TOUCHES = 512
KEYS = ("schema", "kind", "threads", "device", "rounds", "touches", "model_sha256", "versions")


def slowed_down(touch: Callable[..., Any], factor: float) -> Callable[..., Any]:
    """Calls `touch`, and keeps this thread at work until `factor` times its time has passed."""

    def slow(*arguments: Any) -> Any:
        start = time.perf_counter()
        answer = touch(*arguments)
        end = start + factor * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return answer

    return slow


def trimmed(table: dict[str, Any]) -> dict[str, Any]:
    """What a comparison needs, with at most 24 samples a round, evenly taken from those there were."""
    processor = {key: table["machine"][key] for key in ("processor", "usable_processors")}
    paired = {name: dict(table["paired"][name]) for name in STAGES}
    for rows in paired.values():
        rows["beside"] = [_evenly(part) for part in rows["beside"]]
    samples = {name: [_evenly(part) for part in table["samples"][name]] for name in STAGES}
    return {key: table[key] for key in KEYS} | {"machine": processor, "samples": samples, "paired": paired}


def _evenly(part: list[float]) -> list[float]:
    places = np.linspace(0, len(part) - 1, min(len(part), MOST_SAMPLES)).round().astype(int)
    return [part[place] for place in places]


def main(output: str, factor: str = "1", threads: str = "") -> None:
    """Measure and write."""
    number = int(threads or usual_threads())
    runner = OnnxRunner(find_model("touch"), number)
    if float(factor) > 1:
        runner.colorize = slowed_down(runner.colorize, float(factor))  # type: ignore[method-assign]
    table, _ = run_latency.run(runner, (16, 128), number, TOUCHES)
    Path(output).write_text(json.dumps(trimmed(table), separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
