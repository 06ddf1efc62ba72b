"""An encoder that makes itself real-time, as SVT-AV1 does for root, is put back."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from livetint.video.encoders import encoder_for
from livetint.video.priority import kept_scheduling, threads
from livetint.video.segment import SegmentWriter

from ..needs import import_or_skip

import_or_skip("av")
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling policies here")


def policies() -> set[int]:
    return {os.sched_getscheduler(thread) for thread in threads()}


def test_writing_a_segment_leaves_the_scheduling_of_all_threads(tmp_path: Path) -> None:
    before = policies()
    with SegmentWriter(tmp_path / "0.mkv", encoder_for(tmp_path / "0.mp4"), 64, 48, Fraction(25)) as writer:
        assert policies() == before
        writer.write(np.zeros((48, 64, 3), np.uint8))
        assert policies() == before
    assert (tmp_path / "0.mkv").stat().st_size > 0 and policies() == before


def test_a_thread_that_was_changed_is_put_back_even_after_an_error() -> None:
    before, done = policies(), threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    with pytest.raises(ValueError, match="no codec"), kept_scheduling():
        assert other.native_id is not None
        os.sched_setscheduler(other.native_id, os.SCHED_BATCH, os.sched_param(0))
        raise ValueError("no codec")
    assert policies() == before
    done.set()
    other.join()
