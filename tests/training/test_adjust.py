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
from livetint.engine.models import bundled_folder, find_model
from PIL import Image

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.efficientnet_lite import EfficientNetLite  # noqa: E402
from livetint.build_engine.networks.hint_attention import FOCUS_SLOPE, MAX_FOCUS, MAX_NARROWING  # noqa: E402
from livetint.build_engine.networks.touch import TouchNetwork  # noqa: E402
from livetint.build_engine.touch_bundle import backbone_of, network_of, weights_of  # noqa: E402
from livetint.calibration.photographs import lab_of, load_squares  # noqa: E402
from livetint.engine.errors import ConfigError  # noqa: E402
from livetint.training.new_backbone import read_released_weights, with_backbone  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402


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
        (("--guard", "1,2,3"), "guard takes 4 numbers from 0 to 100: for skin, hair, plants, everything but paint"),
        (("--guard", "1,2,3,-1"), "guard takes 4 numbers"),
        (("--kinds", "labels"), "--kinds needs --photos"),
        (("--contrast", "0.2", "0.5"), "contrast is 0.2,0.5"),
        (("--mix", "touch", "--share", "1.5"), "share is 1.5"),
        (("--backbone", "lite1"), "a new backbone needs --backbone, --weights and --photos together"),
        (("--backbone", "lite1", "--weights", "none", "--photos", "photos"), "none is not a readable safetensors file"),
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


def released(backbone: str) -> dict[str, Tensor]:
    """Random weights with the names and shapes of the usual PyTorch port."""
    generator = torch.Generator().manual_seed(1)
    network, found = EfficientNetLite(backbone), {}

    def layer(conv: str, norm: str, weight: Tensor) -> None:
        channels = len(weight)
        found[f"{conv}.weight"] = torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5
        found[f"{norm}.weight"], found[f"{norm}.bias"] = torch.ones(channels), torch.rand(channels, generator=generator)
        found[f"{norm}.running_mean"], found[f"{norm}.running_var"] = torch.zeros(channels), torch.ones(channels)

    layer("_conv_stem", "_bn0", network.stem.weight)
    for index, block in enumerate(network.blocks):
        parts = [("expand", "_expand_conv", 0), ("depthwise", "_depthwise_conv", 1), ("project", "_project_conv", 2)]
        for name, conv, norm in parts:
            if getattr(block, name) is not None:
                layer(f"_blocks.{index}.{conv}", f"_blocks.{index}._bn{norm}", getattr(block, name).weight)
    return found


def test_a_new_backbone_starts_with_laterals_by_least_squares(tmp_path):
    """The laterals are the least-squares answer, and every other weight stays as it was."""
    weights, start = tmp_path / "lite1.safetensors", network_of(find_model("touch"))
    save_file(released("lite1"), weights)
    squares = np.random.default_rng(5).integers(0, 255, (180, 64, 64, 3), np.uint8)
    read = read_released_weights(weights, "lite1")
    new, explained = with_backbone(start, "lite1", read, squares)
    before, after = start.state_dict(), new.state_dict()
    for name, weight in after.items():
        if name.startswith("encoder.backbone."):
            torch.testing.assert_close(weight, read[name.removeprefix("encoder.backbone.")])
        elif not name.startswith("encoder.lateral"):
            torch.testing.assert_close(weight, before[name])
    L = torch.from_numpy(lab_of(squares)[..., 0])[:, None]
    with torch.no_grad():
        x, y = new.encoder.backbone_maps(L)[32], start.encoder.lateral32(start.encoder.backbone_maps(L)[32])
    x, y = (plane.movedim(1, -1).reshape(-1, plane.shape[1]).double().numpy() for plane in (x, y))
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    weight, bias = (after[f"encoder.lateral32.{name}"].numpy() for name in ("weight", "bias"))
    given = np.concatenate([weight[:, :, 0, 0].T, bias[None]])
    rest, smallest = (float(((x @ found - y) ** 2).sum()) for found in (given, np.linalg.lstsq(x, y, rcond=None)[0]))
    assert rest == pytest.approx(smallest, rel=1e-3)
    assert explained[32] == pytest.approx(1 - rest / ((y - y.mean(0)) ** 2).sum(), abs=1e-3)
    assert set(explained) == {4, 8, 16, 32}


def test_the_command_writes_a_bundle_with_the_new_backbone(tmp_path):
    weights, photos = tmp_path / "lite1.safetensors", tmp_path / "photos"
    save_file({name: weight.half() for name, weight in released("lite1").items()}, weights)
    photos.mkdir()
    rng = np.random.default_rng(6)
    for index in range(11):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(photos / f"{index}.png")
    adjust("touch", "-o", tmp_path / "new", "--version", "x", "--backbone", "lite1", "--weights", weights,
           "--photos", photos)  # fmt: skip
    new = find_model(str(tmp_path / "new"))
    assert backbone_of(new) == "lite1" and set(weights_of(new)) == set(TouchNetwork("lite1").state_dict())
    assert "The backbone lite1 in place of " in new.files["MODEL_CARD.md"].decode()
    with OnnxRunner(new) as runner:
        assert np.isfinite(runner.colorize(runner.encode(np.full((256, 256), 50, np.float32)), [])).all()


def test_weights_of_another_backbone_and_too_few_photographs_are_refused(tmp_path):
    weights = tmp_path / "lite1.safetensors"
    save_file(released("lite1"), weights)
    with pytest.raises(ConfigError, match="these are not weights of lite2"):
        read_released_weights(weights, "lite2")
    squares = load_squares(bundled_folder().parent / "photos", 256, limit=8)
    with pytest.raises(ConfigError, match="8 photographs are too few to fit a new backbone; give at least 11"):
        with_backbone(network_of(find_model("touch")), "lite1", {}, squares)
