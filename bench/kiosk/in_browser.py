"""Touches answered in the page beside those of the engine: `livetint bench kiosk --in-browser`.

The same drag as in `latency.py`, with the page's own answers and with the engine's in turns. `ab` is from the touch
event until its colours are in the page. Then single touches: the page's WebAssembly beside ONNX Runtime on one thread,
in turns, with one hint moved and with all hints new; the network alone, and with `match_hints`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ...engine.errors import ConfigError
from ...engine.hints import Hint
from ...engine.models import find_model
from ...engine.runners.base import NO_GLOBAL_HINTS
from ...engine.runners.onnx import OnnxFeatures, OnnxRunner
from ..measure import Result
from .latency import PAGE_START_S, STAGES, Settings, drag, kiosk_page, summary

WAYS = ("page", "engine")
ROUNDS = 7
COUNTS = (1, 16, 64, 128)
CHANGES = ("moved", "new")
# Touches of a sample: clocks of browsers are coarse. Samples of a turn, and turns.
BATCH, SAMPLES, TURNS = 4, 8, 5
VIVID = 1.35
# L of a picture for the native touches, whose time does not depend on it.
RAMP = np.tile(np.linspace(5, 95, 256, dtype=np.float32), (256, 1))
MAX_AB_P95_MS = 33.0

# Makes `globalThis.touchBench(count, change, matched, samples, batch)`, which gives times of a touch in ms.
_SET_UP = """async (vivid) => {
  const { Touch, loadKernels } = await import('./touch/touch.js');
  const { loadHeads } = await import('./touch/heads.js'), { loadFeatures } = await import('./touch/features.js');
  const heads = await loadHeads('heads.bin'), touch = new Touch(await loadKernels('touch/'), heads);
  const { features } = await loadFeatures(`pictures/${livetint.painting.photo}/features.bin`, heads.model);
  touch.open(features, vivid);
  globalThis.touchBench = ([hints, change, matched, samples, batch]) => {
    let step = 0;
    const changed = (h, i) => (change === 'new' || i === hints.length >> 1
      ? [(h[0] + step * 0.0137) % 1, ...h.slice(1)] : h);
    touch.colorize(hints, matched);
    return Array.from({ length: samples }, () => {
      const started = performance.now();
      for (let i = 0; i < batch; i += 1) { step += 1; touch.colorize(hints.map(changed), matched); }
      return (performance.now() - started) / batch;
    });
  };
}"""


def measure_in_browser(settings: Settings) -> Result:
    """ways: of each of WAYS its stages as in `latency.py`, and `ab_ms`; probe_ms: the page's own measure of a touch;
    touches: see `_touches`.

    Raises ConfigError as `kiosk_page`, and where the page does not answer touches itself.
    """
    # JPEGs are made by the engine alone.
    settings = replace(settings, pixels="planes")
    part = replace(settings, moves=-(-settings.moves // ROUNDS))
    frames: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with kiosk_page(settings, "auto") as page:
        _wait(page)
        for _ in range(ROUNDS):
            for way in WAYS:
                page.evaluate("(here) => { livetint.link.answersHere = here; }", way == "page")
                found = drag(page, part)["frames"]
                frames[way] += [{**frame, "ab_ms": frame["wait_ms"] + frame["reply_ms"]} for frame in found]
        probe_ms = page.evaluate("livetint.link.touch_ms")
        touches = _touches(settings, page)
    ways = {
        way: {stage: summary([frame[stage] for frame in found if stage in frame]) for stage in ("ab_ms", *STAGES)}
        for way, found in frames.items()
    }
    return {**asdict(settings), "in_browser": True, "probe_ms": probe_ms, "ways": ways, "touches": touches}


def _wait(page: Any) -> None:
    """Wait until the page answers touches itself."""
    started = time.monotonic()
    while not page.evaluate("livetint.link.local?.ready === livetint.painting.photo"):
        if time.monotonic() - started > PAGE_START_S:
            probe_ms = page.evaluate("livetint.link.touch_ms")
            found = f"a touch takes {probe_ms:.0f} ms in it" if probe_ms else "it cannot load the model's heads"
            raise ConfigError(
                f"the page does not answer touches itself: {found}; use the model touch on an idle machine"
            )
        time.sleep(0.05)


def _touches(settings: Settings, page: Any) -> list[dict[str, Any]]:
    """Rows of `hints`, `change`, `matched` (with `match_hints`, or the network alone), `page_ms`, `native_ms` (medians
    of one touch) and their `ratio`."""
    page.evaluate(_SET_UP, VIVID)
    with OnnxRunner(find_model(settings.model), 1) as runner:
        features = runner.encode(RAMP, VIVID)
        return [
            _row(page, runner, features, count, change, matched)
            for count in COUNTS
            for change in CHANGES
            for matched in (False, True)
        ]


def _row(
    page: Any, runner: OnnxRunner, features: OnnxFeatures, count: int, change: str, matched: bool
) -> dict[str, Any]:
    random = np.random.default_rng(count)
    places, colours = random.uniform(0.02, 0.98, (count, 2)), random.uniform(-30, 40, (count, 2))
    hints = [[*place, *colour, 5] for place, colour in zip(places.tolist(), colours.tolist(), strict=True)]
    native = _native(runner, features, hints, change, matched)
    here_ms: list[float] = []
    native_ms: list[float] = []
    for _ in range(TURNS):
        here_ms += page.evaluate("(asked) => touchBench(asked)", [hints, change, matched, SAMPLES, BATCH])
        native_ms += [native() for _ in range(SAMPLES)]
    page_ms, runner_ms = float(np.median(here_ms)), float(np.median(native_ms))
    return {
        "hints": count,
        "change": change,
        "matched": matched,
        "page_ms": round(page_ms, 2),
        "native_ms": round(runner_ms, 2),
        "ratio": round(page_ms / runner_ms, 2),
    }


def _native(
    runner: OnnxRunner, features: OnnxFeatures, hints: list[list[float]], change: str, matched: bool
) -> Callable[[], float]:
    """Times BATCH touches as the page does, and gives the time of one in ms."""
    answer = runner.colorize if matched else runner.network_ab
    step = 0

    def changed(i: int, x: float) -> float:
        return (x + step * 0.0137) % 1 if change == "new" or i == len(hints) // 2 else x

    def sample() -> float:
        nonlocal step
        started = time.perf_counter()
        for _ in range(BATCH):
            step += 1
            marks = [Hint(changed(i, x), y, a, b, int(size)) for i, (x, y, a, b, size) in enumerate(hints)]
            answer(features, marks, NO_GLOBAL_HINTS)
        return (time.perf_counter() - started) * 1000 / BATCH

    return sample


def as_lines(found: Result) -> str:
    """For the terminal."""
    lines = [f"{'ms':18}{'n':>6}{'p50':>9}{'p95':>9}{'p99':>9}"]
    for stage, label in (("ab_ms", "event → ab"), ("total_ms", "event → frame")):
        for way in WAYS:
            row = found["ways"][way][stage]
            values = "".join(f"{'-' if row[key] is None else row[key]:>9}" for key in ("p50", "p95", "p99"))
            lines.append(f"{label + ', ' + way:18}{row['n']:>6}{values}")
    lines.append(f"aim: event → ab in the page p95 <= {MAX_AB_P95_MS:.0f}, event → frame p95 not above the engine's")
    lines.append(f"\n{'touch, ms':24}{'page':>9}{'native':>9}{'ratio':>9}")
    for row in found["touches"]:
        label = f"{row['hints']} hints, {'one moved' if row['change'] == 'moved' else 'all new'}"
        label += "" if row["matched"] else ", network"
        lines.append(f"{label:33}{row['page_ms']:>9}{row['native_ms']:>9}{row['ratio']:>9}")
    return "\n".join(lines)
