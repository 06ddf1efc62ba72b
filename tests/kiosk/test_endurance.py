"""Random gestures leave browser and server agreeing; edits leave memory, descriptors and threads flat.

LIVETINT_SOAK=1 (`make soak`) runs 1,000 sequences and 20,000 edits instead of 40 and 2,000.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
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
        for (rss, descriptors, threads), (rss_after, open_after, threads_after) in zip(before, after, strict=True):
            assert rss_after - rss < ROOM_KIB
            assert abs(open_after - descriptors) <= 2
            assert threads_after - threads <= 2
    finally:
        kiosk.close()
