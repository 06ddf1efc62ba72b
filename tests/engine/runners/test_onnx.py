"""The CPU's runner: spinning threads do not change its answers."""

from __future__ import annotations

import numpy as np
from livetint.engine.hints import Hint
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner, session_options

SPINNING = "session.intra_op.allow_spinning"


def test_answers_are_the_same_without_spinning():
    L = np.random.default_rng(0).uniform(0, 100, (256, 256)).astype(np.float32)
    hints = [Hint(0.3, 0.3, 40, 10), Hint(0.7, 0.6, -20, 30)]
    with OnnxRunner(find_model("touch"), 2) as spinning, OnnxRunner(find_model("touch"), 2, spin=False) as other:
        first, second = (each.colorize(each.encode(L), hints) for each in (spinning, other))
    np.testing.assert_allclose(second, first, atol=1e-4)


def test_threads_spin_unless_told_otherwise():
    assert session_options(2).get_session_config_entry(SPINNING) == "1"
    assert session_options(2, spin=False).get_session_config_entry(SPINNING) == "0"
