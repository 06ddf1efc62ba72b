"""The network `touch`: its cost, its properties, and that the exported stages compute the same as PyTorch."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.image.photo import Photo
from livetint.engine.models import bundled_folder, find_model

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.export import FORBIDDEN, MAX_IR, OPSET  # noqa: E402
from livetint.build_engine.fold import fold_constants  # noqa: E402
from livetint.build_engine.networks.efficientnet_lite import (  # noqa: E402
    BACKBONES,
    Block,
    EfficientNetLite,
    SameConv,
    blocks_of,
    fold_released_weights,
    taps_of,
)
from livetint.build_engine.networks.hint_attention import Hints, anchor, softmax_over_planes  # noqa: E402
from livetint.build_engine.networks.sampling import patch_taps, sample  # noqa: E402
from livetint.build_engine.networks.touch import SelfAttention, TouchNetwork  # noqa: E402
from livetint.build_engine.split_attention import three_products  # noqa: E402
from livetint.build_engine.touch_bundle import (  # noqa: E402
    MAX_HINTS,
    backbone_of,
    export_stages,
    network_of,
    touch_manifest,
    weights_of,
)
from livetint.engine.bundle import write_bundle  # noqa: E402
from livetint.engine.errors import ConfigError, ModelFileError  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


@pytest.fixture(scope="module")
def network() -> TouchNetwork:
    return network_of(find_model("touch"))


@pytest.fixture(scope="module")
def lite2(tmp_path_factory):
    """An untrained network with the backbone Lite 2, and its bundle."""
    torch.manual_seed(3)
    network = TouchNetwork("lite2").eval()
    with torch.no_grad():
        for weight in network.parameters():  # the exporter stores equal initialisers once
            weight.add_(torch.randn_like(weight), alpha=0.01)
    manifest = touch_manifest("0", "none", "random", trained=False, backbone="lite2")
    return network, write_bundle(tmp_path_factory.mktemp("bundles") / "touch", manifest, export_stages(network))


@pytest.fixture(scope="module")
def maps(network):
    L = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(1)) * 100
    L = torch.nn.functional.avg_pool2d(L, 9, 1, 4)
    with torch.no_grad():
        return L, network(L)


def draw_hints(number: int, seed: int = 0, valid: int | None = None) -> Hints:
    rng = np.random.default_rng(seed)
    on = np.zeros((1, number), np.float32)
    on[:, : number if valid is None else valid] = 1
    return Hints(
        torch.from_numpy(rng.random((1, number, 2), np.float32)),
        torch.from_numpy(rng.uniform(-0.5, 0.5, (1, number, 2)).astype(np.float32)),
        torch.from_numpy(rng.integers(1, 10, (1, number)).astype(np.float32)),
        torch.from_numpy(on),
    )


def flops(call) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


def test_the_costs_are_within_the_budget(network, maps):
    L, kept = maps
    none = torch.zeros(1, 316)
    assert flops(lambda: network(L)) <= 12e9
    assert flops(lambda: network.attention.colours(kept, draw_hints(16), none)) <= 0.05e9
    assert flops(lambda: network.attention.colours(kept, draw_hints(128), none)) <= 0.3e9


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_within_the_budget(backbone):
    network, L = TouchNetwork(backbone).to("meta"), torch.empty(1, 1, 256, 256, device="meta")
    assert flops(lambda: network.encoder(L)) <= 12e9
    assert sum(weight.numel() for weight in network.parameters()) * 2 <= 15.5e6


def test_the_backbones_are_the_published_ones():
    """Blocks per stage and channels of EfficientNet-Lite 0, 1 and 2."""
    assert [len(blocks_of(name)) for name in BACKBONES] == [16, 21, 21]
    assert taps_of("lite0") == taps_of("lite1") == {4: 24, 8: 40, 16: 112, 32: 320}
    assert taps_of("lite2") == {4: 24, 8: 48, 16: 120, 32: 352}
    assert [channels for _, stride, _, channels in blocks_of("lite2") if stride == 2] == [24, 48, 88, 208]
    maps = EfficientNetLite("lite2")(torch.zeros(1, 3, 64, 96))
    assert {s: tuple(plane.shape[1:]) for s, plane in maps.items()} == {
        s: (channels, 64 // s, 96 // s) for s, channels in taps_of("lite2").items()
    }
    with pytest.raises(ConfigError, match="'lite9' is unknown; it is one of lite0, lite1, lite2"):
        TouchNetwork("lite9")


def test_a_bundle_names_its_backbone_and_old_ones_have_lite_0(lite2, tmp_path):
    network, bundle = lite2
    assert backbone_of(bundle) == "lite2" and set(weights_of(bundle)) == set(network.state_dict())
    manifest = touch_manifest("0", "none", "random", trained=False)
    old = write_bundle(tmp_path / "old", msgspec.structs.replace(manifest, backbone=""), bundle.files)
    assert backbone_of(old) == "lite0"
    with pytest.raises(ModelFileError, match="does not hold the weights of touch with lite0"):
        network_of(old)


def test_q_k_and_v_are_three_products(lite2):
    """They are those of the packed product, and the exported graph has no packed product to split."""
    block = SelfAttention(20, 5)
    x = torch.randn(2, 6, 20)
    packed = block.qkv(x).reshape(2, 6, 3, 5, 4).permute(2, 0, 3, 1, 4).unbind(0)
    for found, expected in zip(block.products(x), packed, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    folded = fold_constants(lite2[1].stage("encoder"))
    assert not [node for node in folded.graph.node if node.op_type == "Split"]
    assert three_products(folded) is folded


def test_the_encoder_also_gives_its_features(lite2):
    network, bundle = lite2
    L = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(4)) * 100
    (features,) = ort.InferenceSession(bundle.stage("encoder")).run(["features"], {"light": L.numpy()})
    with torch.no_grad():
        expected = network.encoder(L).numpy()
    assert np.asarray(features).shape == (1, 96, 64, 64)
    np.testing.assert_allclose(np.asarray(features), expected, atol=2e-3 * max(1, float(np.abs(expected).max())))


def test_weights_come_back_from_the_bundle_by_name(network):
    assert set(weights_of(find_model("touch"))) == set(network.state_dict())


@pytest.mark.parametrize("stage", ["encoder", "touch", "distribution"])
def test_the_graphs_are_portable(stage):
    model = onnx.load_model_from_string(find_model("touch").stage(stage))
    onnx.checker.check_model(model)
    assert model.ir_version <= MAX_IR
    assert all(entry.version <= OPSET for entry in model.opset_import if entry.domain == "")
    assert not {node.op_type for node in model.graph.node} & FORBIDDEN


@pytest.mark.parametrize("number", [1, 2, 16, 64, MAX_HINTS])
def test_exported_stages_answer_like_pytorch(network, maps, number):
    L, kept = maps
    bundle = find_model("touch")
    sessions = {s: ort.InferenceSession(bundle.stage(s)) for s in ("encoder", "touch", "distribution")}
    names = [o.name for o in sessions["encoder"].get_outputs()]
    planes = dict(zip(names, sessions["encoder"].run(names, {"light": L.numpy()}), strict=True))
    for name, plane in kept._asdict().items():
        tolerance = 2e-3 * max(1, float(plane.abs().max()))
        np.testing.assert_allclose(np.asarray(planes[name]), plane.numpy(), atol=tolerance)
    hints = draw_hints(number)
    global_hints = torch.zeros(1, 316)
    global_hints[0, -2:] = torch.tensor([0.4, 1.0])
    points = torch.rand(1, 7, 2, generator=torch.Generator().manual_seed(2))
    inputs = {
        "positions": hints.positions.numpy(), "colours": hints.ab.numpy() * 110, "sizes": hints.size.numpy(),
        "valid": hints.valid.numpy(), "global_hints": global_hints.numpy(), "points": points.numpy(),
        **{name: plane.numpy() for name, plane in kept._asdict().items()},
    }  # fmt: skip
    with torch.no_grad():
        ab = network.attention.colours(kept, hints, global_hints)[0]
        p = network.attention.distribution(kept, hints, global_hints, points)
    for stage, expected, tolerance in (("touch", ab, 2e-2), ("distribution", p, 1e-5)):
        session = sessions[stage]
        given_inputs = {i.name: inputs[i.name] for i in session.get_inputs()}
        np.testing.assert_allclose(np.asarray(session.run(None, given_inputs)[0]), expected.numpy(), atol=tolerance)


def test_padding_hints_changes_nothing(network, maps):
    _, kept = maps
    full, none = draw_hints(40, valid=7), torch.zeros(1, 316)
    short = Hints(*(t[:, :7] for t in full))
    with torch.no_grad():
        torch.testing.assert_close(
            network.attention.colours(kept, full, none)[0],
            network.attention.colours(kept, short, none)[0],
            atol=2e-3, rtol=1e-4,
        )  # fmt: skip


def test_hints_and_the_automatic_colour_share_every_place(network, maps):
    _, kept = maps
    with torch.no_grad():
        tokens = network.attention.tokens(kept, draw_hints(9), torch.zeros(1, 316))
        share, null = network.attention.shares(tokens, kept.query, kept.gate.flatten(2))
    assert float(tokens.surprise.max()) > 0.9
    assert float(share.min()) >= 0
    assert float(null.min()) >= -1e-6
    torch.testing.assert_close(share.sum(1, keepdim=True) + null, torch.ones_like(null))


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_contrast_keeps_the_sum_of_a_hints_share_and_the_automatic_one_and_their_order(one, other):
    """Shares of surprising hints in cells where ordinary hints have none."""
    attention, plane = TouchNetwork().attention, torch.tensor([[[min(one, other), max(one, other)]]])
    with torch.no_grad():
        given = plane * attention.gain_of_surprise(plane, 1 - plane)
    less, more = given.flatten().tolist()
    assert 0 <= less <= more + 1e-6 <= 1 + 2e-6


def test_contrast_removes_small_shares_and_completes_large_ones():
    attention, plane = TouchNetwork().attention, torch.tensor([[[0.0, 0.05, 0.2, 0.6, 1.0]]])
    with torch.no_grad():
        given = (plane * attention.gain_of_surprise(plane, 1 - plane)).flatten().tolist()
    assert given[0] == 0
    assert given[1] < 0.02
    assert given[2] == pytest.approx(0.5, abs=0.01)
    assert given[3] > 0.97
    assert given[4] == pytest.approx(1, abs=1e-3)


def test_surprise_moves_gates_shortens_the_reach_and_leaves_the_mood(network):
    photo = Photo.open(bundled_folder().parent / "photos" / "coffee.jpg")
    with torch.no_grad():
        kept = network(torch.tensor(photo.working_L)[None, None])
    place = torch.tensor([[[0.5, 0.5]]])
    one, none = torch.ones(1, 1), torch.zeros(1, 316)
    foreseen = sample(kept.base, patch_taps(place, one * 6, 64, 64)).transpose(1, 2)

    def reach(away: float) -> tuple[float, float, float]:
        """The largest focus, the mean change of colours relative to the hint's own, and the norm of the mood."""
        hints = Hints(place, foreseen + torch.tensor([away, 0.0]), one * 6, one)
        with torch.no_grad():
            said = network.attention.tokens(kept, hints, none)
            colours = network.attention.colours
            moved = (colours(kept, hints, none)[1] - colours(kept, hints._replace(valid=0 * one), none)[1]).norm(dim=1)
        return float(said.focus.abs().max()), float(moved.mean() / away), float(said.mood.norm())

    (quiet, far, mood), (loud, near, none_left) = reach(0.05), reach(0.7)
    assert quiet < 0.05 < 1 < loud
    assert near < 0.7 * far
    assert none_left < 0.02 * mood


def test_without_global_hints_the_global_layers_add_nothing(network):
    zero = torch.zeros(1, 316)
    attention = network.attention
    with torch.no_grad():
        vector = attention.global_mood(torch.nn.functional.gelu(attention.global_hidden(zero)))
    assert not vector.any()


def test_the_distribution_head_does_not_train_the_features():
    from livetint.training.config import Augmentation, Card, Config, Data, Optimiser
    from livetint.training.data import draw_batch
    from livetint.training.draws import Draws
    from livetint.training.tasks import TouchTask

    config = Config("touch", "unused", Data(["x"], ["x"]), Optimiser(1), Card("0", "none", "none"))
    task = TouchTask(config)
    torch.nn.init.normal_(task.network.attention.bins_mood.weight)
    photos = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    batch = draw_batch(photos, 1, Augmentation(crop_px=64, recoloured=0), Draws(torch.device("cpu"), 0))
    task.losses(batch)["distribution"].backward()
    trained = {n for n, p in task.network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"attention.bins.weight", "attention.bins_hidden.weight"} <= trained
    assert not any(name.startswith("encoder.") for name in trained)


def test_the_softmax_of_few_planes_is_a_softmax():
    x = torch.randn(2, 9, 3, 5) * torch.tensor([1.0, 200.0])[:, None, None, None]
    torch.testing.assert_close(softmax_over_planes(x), x.softmax(1))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_the_correction_gives_separate_hints_their_colours_and_is_smooth(number, seed):
    rng = np.random.default_rng(seed)
    positions = np.stack([(np.arange(number) + 0.5) / number, rng.uniform(0.1, 0.9, number)], 1)[None]
    hints = Hints(
        torch.from_numpy(positions.astype(np.float32)),
        torch.from_numpy(rng.uniform(-0.1, 0.1, (1, number, 2)).astype(np.float32)),
        torch.full((1, number), 5.0),
        torch.ones(1, number),
    )
    ab = anchor(torch.zeros(1, 2, 256, 256), hints)
    column = (hints.positions[0, :, 0] * 256).long()
    row = (hints.positions[0, :, 1] * 256).long()
    shown = ab[0, :, row, column].T
    assert (shown - hints.ab[0] * 110).abs().max() < 0.5
    assert ab.diff(dim=2).norm(dim=1).max() < 3 and ab.diff(dim=3).norm(dim=1).max() < 3


@pytest.mark.parametrize("backbone", BACKBONES)
def test_released_backbone_weights_are_folded_exactly(backbone):
    """A convolution of the released backbone and its BatchNorm are one convolution here."""
    torch.manual_seed(0)
    released = {}

    def layer(conv: str, norm: str, ours: SameConv) -> None:
        released[f"{conv}.weight"] = torch.randn_like(ours.weight)
        for leaf in ("weight", "bias", "running_mean"):
            released[f"{norm}.{leaf}"] = torch.randn(ours.out_channels)
        released[f"{norm}.running_var"] = torch.rand(ours.out_channels) + 0.5

    network = EfficientNetLite(backbone)
    layer("_conv_stem", "_bn0", network.stem)
    for index, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        name = f"_blocks.{index}"
        if block.expand is not None:
            layer(f"{name}._expand_conv", f"{name}._bn0", block.expand)
        layer(f"{name}._depthwise_conv", f"{name}._bn1", block.depthwise)
        layer(f"{name}._project_conv", f"{name}._bn2", block.project)
    network.load_state_dict(fold_released_weights(released, backbone))
    x = torch.randn(1, 3, 32, 32)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
    wide = torch.nn.functional.conv2d(padded, released["_conv_stem.weight"], stride=2)
    statistics = [released[f"_bn0.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")]
    expected = torch.nn.functional.batch_norm(wide, *statistics, eps=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(network.stem(x), expected, atol=1e-4, rtol=1e-4)
    other = "lite0" if backbone == "lite2" else "lite2"
    with pytest.raises(ConfigError, match=f"these are not weights of {other}: "):
        fold_released_weights(released, other)
