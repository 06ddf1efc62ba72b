"""Changing weights by hand: only what was requested changes, and unusable numbers are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from livetint.build_engine import gate
from livetint.build_engine.limits import LIMITS, Limits
from livetint.cli.__main__ import main
from livetint.engine import Hint, OnnxRunner
from livetint.engine.bundle import Bundle
from livetint.engine.models import find_model

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.hint_attention import FOCUS_SLOPE, MAX_FOCUS, MAX_NARROWING  # noqa: E402
from livetint.build_engine.touch_bundle import weights_of  # noqa: E402


@pytest.fixture(autouse=True)
def without_gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """New bundles are checked in emulated fp16, which takes seconds, only in the test of that."""
    if "gate" not in request.node.name:
        monkeypatch.setattr(gate, "check_new_bundle", lambda bundle, say: None)


def adjust(*arguments) -> None:
    main(["models", "adjust", *map(str, arguments)])


def changed(first: Bundle, second: Bundle) -> set[str]:
    old, new = weights_of(first), weights_of(second)
    assert old.keys() == new.keys()
    return {name for name, weights in old.items() if not torch.equal(weights, new[name])}


def test_reach_and_gates_change_as_requested_and_the_rest_stays(tmp_path):
    adjust("touch", "-o", tmp_path / "new", "--version", "x", "--reach", "1,1.8,0.5,1", "--gates=-5,-0.6,3.9,2.1")
    old, new = find_model("touch"), find_model(str(tmp_path / "new"))
    assert changed(old, new) <= {"attention.reach", "attention.token_focus.bias"}
    grown = 5 * (weights_of(new)["attention.reach"] - weights_of(old)["attention.reach"])
    np.testing.assert_allclose(torch.exp(grown), [1, 1.8, 0.5, 1], rtol=1e-4)
    gates = MAX_FOCUS * torch.tanh(FOCUS_SLOPE * weights_of(new)["attention.token_focus.bias"])
    np.testing.assert_allclose(gates, [-5, -0.6, 3.9, 2.1], rtol=1e-3)
    assert new.manifest.version == "x" and "ranges.json" not in new.files
    assert "Distance penalties times 1, 1.8, 0.5, 1." in new.files["MODEL_CARD.md"].decode()


def test_narrowing_and_contrast_change_as_requested_and_the_rest_stays(tmp_path):
    adjust("touch", "-o", tmp_path / "new", "--version", "x", "--narrowing", "1,4,0.5,2", "--contrast", "0.1", "2.5")
    new = find_model(str(tmp_path / "new"))
    assert changed(find_model("touch"), new) == {"attention.token_narrowing.bias", "attention.contrast"}
    narrowing = MAX_NARROWING * torch.tanh(FOCUS_SLOPE * weights_of(new)["attention.token_narrowing.bias"])
    np.testing.assert_allclose(torch.exp(narrowing), [1, 4, 0.5, 2], rtol=1e-3)
    np.testing.assert_allclose(weights_of(new)["attention.contrast"], [math.log(1 / 9), 2.5], rtol=1e-5)


def test_a_shorter_reach_moves_less_of_the_picture(tmp_path):
    adjust("touch", "-o", tmp_path / "near", "--version", "x", "--reach", "30,30,30,30")
    L = np.random.default_rng(3).uniform(20, 80, (256, 256)).astype(np.float32)
    moved = []
    for name in ("touch", str(tmp_path / "near")):
        with OnnxRunner(find_model(name)) as runner:
            features = runner.encode(L)
            shift = runner.colorize(features, [Hint(0.5, 0.5, 60, 30)]) - runner.colorize(features, [])
            moved.append(np.abs(shift[:, :40]).mean())
    assert moved[1] < 0.5 * moved[0]


def test_a_bundle_mixed_with_itself_stays_and_shares_add_up(tmp_path):
    adjust("touch", "-o", tmp_path / "same", "--version", "x", "--mix", "touch", "--share", "0.3")
    touch = find_model("touch")
    assert changed(touch, find_model(str(tmp_path / "same"))) == set()
    adjust("touch", "-o", tmp_path / "near", "--version", "x", "--reach", f"{math.e**5},1,1,1")
    adjust("touch", "-o", tmp_path / "mid", "--version", "x", "--mix", tmp_path / "near", "--share", "0.25")
    reach = [weights_of(bundle)["attention.reach"][0] for bundle in (touch, find_model(str(tmp_path / "mid")))]
    assert float(reach[1] - reach[0]) == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--reach", "1,2,3"), "reach takes 4 numbers"),
        (("--reach", "1,0,1,1"), "reach takes 4 numbers"),
        (("--gates", "7,0,0,0"), "gates takes 4 numbers between -6 and 6"),
        (("--reach", "nan,1,1,1"), "reach takes 4 numbers"),
        (("--narrowing", "30,1,1,1"), "narrowing takes 4 numbers between 0.0497871 and 20.0855"),
        (("--contrast", "0", "2"), "contrast is 0,2"),
        (("--contrast", "0.2", "0.5"), "contrast is 0.2,0.5"),
        (("--mix", "touch", "--share", "1.5"), "share is 1.5"),
    ],
)
def test_numbers_out_of_range_are_refused_in_one_line_and_nothing_is_written(tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit) as left:
        adjust("touch", "-o", tmp_path / "new", "--version", "x", *arguments)
    lines = capsys.readouterr().err.splitlines()
    assert left.value.code == 2 and len(lines) == 1 and said in lines[0]
    assert not (tmp_path / "new").exists()


def test_the_gate_tries_a_new_bundle_in_a_gpus_fp16(tmp_path, monkeypatch, capsys):
    cases = gate.example_cases()[:2]
    monkeypatch.setattr(gate, "example_cases", lambda: cases)
    arguments = ("touch", "-o", tmp_path / "new", "--version", "x", "--mix", "touch")
    adjust(*arguments)
    assert "in emulated fp16: " in capsys.readouterr().out
    monkeypatch.setitem(LIMITS, "fp16 emulated", Limits(1.0, 0.0, 1.0))
    with pytest.raises(SystemExit):
        adjust(*arguments)
    said = capsys.readouterr()
    assert "wrote " in said.out and "loses too much: mean |Δab| is 0.0" in said.err
    assert find_model(str(tmp_path / "new")).manifest.version == "x", "the bundle is kept"
