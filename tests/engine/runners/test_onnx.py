"""The runner for the CPU: spinning threads do not change its answers, and the graph of shares is cut once."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.engine.hints import Hint
from livetint.engine.models import find_model
from livetint.engine.runners import onnx
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.sessions import session_options

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


def test_the_graph_of_shares_is_looked_for_once(monkeypatch: pytest.MonkeyPatch):
    """Also in a bundle that has none: its influence comes from two touches."""
    asked: list[str] = []
    monkeypatch.setattr(onnx, "share_graph", lambda bundle: asked.append(bundle.name))
    hints = [Hint(0.3, 0.3, 40, 20), Hint(0.7, 0.7, -40, 20)]
    with OnnxRunner(find_model("touch"), 1) as runner:
        features = runner.encode(np.full((256, 256), 50, np.float32))
        assert all(runner.influence(features, hints, [index]).max() == 1 for index in (0, 1))
    assert asked == ["touch"]
