"""Random gestures leave browser and server agreeing; edits leave memory, descriptors and threads flat.

LIVETINT_SOAK=1 (`make soak`) runs 1,000 sequences and 20,000 edits instead of 40 and 2,000, and eight screens for a
minute beside a real page. (test_screens.py has a short run of eight screens.)
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from livetint.bench.kiosk.scripted import ScriptedPage
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.server.exhibition import bundled_photos

from ..needs import needs
from .gesture_machine import Hands
from .page import Visitor
from .processes import facts_of
from .running import RunningKiosk
from .test_server import controls, edit, first_picture, reply

SOAK = os.environ.get("LIVETINT_SOAK") == "1"
SEQUENCES, EDITS = (1000, 20000) if SOAK else (40, 2000)
# An edit's garbage may wait for its collection; what grows without end does so by far more than this.
WARM_UP_S, SCREENS_S = 10, 60
ROOM_KIB = 20_000 if SOAK else 12_000
# A browser answers in its own time, whatever the draws.
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@needs("chromium")
def test_random_gestures_leave_browser_and_server_agreeing(visitor: Visitor, stub: Path) -> None:
    Hands.visitor = visitor
    Hands.session = Session(Photo.open(bundled_photos() / "abandoned-dust-bowl-home.jpg"), OnnxRunner(find_model(stub)))
    run_state_machine_as_test(
        Hands,
        settings=settings(
            max_examples=SEQUENCES, stateful_step_count=4, deadline=None, derandomize=not SOAK, database=None,
            suppress_health_check=UNHURRIED, phases=[Phase.generate, Phase.shrink],
        ),
    )  # fmt: skip


# Moves a point of the page's photograph, once a frame, until `livetint.over`; the number of answers.
_DRAG = """async () => {
  const { painting } = livetint, { stage, requests } = painting, box = stage.box.getBoundingClientRect();
  const at = (i) => stage.toStage({ x: 0.5 + 0.3 * Math.cos(i / 40), y: 0.5 + 0.3 * Math.sin(i / 40) });
  const send = (kind, i) => { const p = at(i);
    stage.box.dispatchEvent(new PointerEvent(kind, { pointerId: 7, pointerType: 'touch', width: 8, height: 8,
      clientX: box.left + p.x, clientY: box.top + p.y, bubbles: true, cancelable: true })); };
  const seen = new Set();
  send('pointerdown', 0);
  for (let i = 1; !livetint.over; i += 1) {
    send('pointermove', i);
    await new Promise(requestAnimationFrame);
    seen.add(requests.shownSeq);
  }
  send('pointerup', 0);
  return seen.size;
}"""


@pytest.mark.skipif(not SOAK, reason="takes more than a minute; `make soak` runs it")
@needs("chromium")
def test_eight_screens_paint_for_a_minute_beside_a_real_page(browser: Any, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, find_model("touch").folder, server={"screens": 9})
    try:
        visitor = Visitor(browser, kiosk.address)
        visitor.open()
        visitor.place(0.8, 0.5)
        photos = [entry["id"] for entry in json.loads(kiosk.get("/settings.json")[1])["pictures"]]
        pages = [ScriptedPage(kiosk.address, photo) for photo in photos[:8]]
        assert len(pages) == 8
        processes = (kiosk.process.pid, kiosk.worker)
        before: list[tuple[int, int, int]] = []
        after: list[tuple[int, int, int]] = []
        begun_s = time.monotonic()

        async def paint() -> None:
            await asyncio.gather(look(), *(page.run(lambda: bool(after)) for page in pages))

        async def look() -> None:
            await asyncio.sleep(WARM_UP_S)
            before.extend(map(facts_of, processes))
            for page in pages:
                page.begin()
            await asyncio.sleep(SCREENS_S)
            after.extend(map(facts_of, processes))

        with ThreadPoolExecutor(1) as beside:
            painting = beside.submit(asyncio.run, paint())
            visitor.page.evaluate(f"setTimeout(() => {{ livetint.over = true; }}, {1000 * (WARM_UP_S + SCREENS_S)})")
            real = visitor.page.evaluate(_DRAG) / (time.monotonic() - begun_s)
            painting.result()
        visitor.close()
        answers = [page.answers / SCREENS_S for page in pages]
        latencies = np.sort(np.concatenate([page.latencies_ms for page in pages]))
        p50, p95 = latencies[[len(latencies) // 2, len(latencies) * 95 // 100]]
        sys.stdout.write(
            f"answers a second: {[round(value, 1) for value in answers]}, the real page {real:.1f}; event to answer "
            f"p50 {p50:.0f} ms, p95 {p95:.0f} ms; server and engine: resident KiB, descriptors, threads "
            f"{before} -> {after}\n"
        )
        assert min(answers) >= median(answers) / 2, answers
        assert real >= median(answers) / 2
        assert kiosk.status()["engine_faults"] == 0
        are_flat(before, after)
    finally:
        kiosk.close()


def are_flat(before: list[tuple[int, int, int]], after: list[tuple[int, int, int]]) -> None:
    """Whether processes hold as much memory, as many descriptors and threads as before."""
    for (rss, descriptors, threads), (rss_after, open_after, threads_after) in zip(before, after, strict=True):
        assert rss_after - rss < ROOM_KIB
        assert abs(open_after - descriptors) <= 2
        assert threads_after - threads <= 2


def test_edits_leave_memory_descriptors_and_threads_flat(stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub)
    try:
        with controls(kiosk) as socket:
            photo = first_picture(kiosk)

            def paint(count: int, start: int) -> None:
                for seq in range(start, start + count):
                    x = (seq * 0.618) % 1
                    socket.send(
                        edit(
                            photo, seq, hints=[[x, 0.5, 10, 10, 5]] * (1 + seq % 8), point=None if seq % 8 else [x, 0.5]
                        )
                    )
                    assert reply(socket)[0]["seq"] == seq

            paint(300, 1)
            processes = (kiosk.process.pid, kiosk.worker)
            before = [facts_of(process) for process in processes]
            paint(EDITS, 301)
            after = [facts_of(process) for process in processes]
        are_flat(before, after)
    finally:
        kiosk.close()
