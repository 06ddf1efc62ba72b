"""What cells show: skin, hair, plants and what is not paint are guarded against hints on something else."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.engine.models import find_model

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.hint_attention import HEADS, KEY, WIDTH, HintAttention, Hints  # noqa: E402
from livetint.build_engine.networks.kinds import GUARDED, KINDS, Kinds  # noqa: E402
from livetint.build_engine.touch_bundle import network_of, weights_of  # noqa: E402


@pytest.fixture(scope="module")
def sure():
    """Kinds that read their logits from the first features, times 40."""
    kinds = Kinds(WIDTH)
    with torch.no_grad():
        for weight in kinds.parameters():
            weight.zero_()
        for index in range(len(KINDS)):
            kinds.hidden.weight[index, index, 0, 0] = kinds.out.weight[index, index, 0, 0] = 40**0.5
    return kinds


def features_of(*shown):
    """Features [1, WIDTH, 2, n] of two equal rows of cells that show these kinds; -1: nobody can tell."""
    features = torch.zeros(1, WIDTH, 2, len(shown))
    for cell, kind in enumerate(shown):
        if kind >= 0:
            features[0, kind, :, cell] = 1
    return features


def test_guarded_are_skin_hair_plants_and_all_that_is_not_paint(sure):
    with torch.no_grad():
        found = sure.guarded(features_of(*range(len(KINDS)), -1))[0, :, 0].T.numpy()
    np.testing.assert_allclose(found[:4, :3], np.eye(4)[:, 1:], atol=1e-5)
    assert float(found[4:7, :3].max()) < 1e-5
    np.testing.assert_allclose(found[:7, 3], [1, 1, 1, 1, 1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(found[7], [1 / 7, 1 / 7, 1 / 7, 6 / 7], atol=1e-5)


def logits(attention, features, x):
    """Logits [HEADS, n] of a grey hint at x, in the n cells of the first row."""
    with torch.no_grad():
        maps = attention.maps(features)
        hint = Hints(torch.tensor([[[x, 0.5]]]), torch.zeros(1, 1, 2), torch.full((1, 1), 1.0), torch.ones(1, 1))
        keys = attention.tokens(maps, hint, torch.zeros(1, 316)).keys
        return (keys @ maps.query)[0, :, 0, : features.shape[3]].numpy()


@pytest.fixture(scope="module")
def attention(sure):
    """Hint attention with these kinds, whose channels are free."""
    torch.manual_seed(0)
    attention = HintAttention().eval()
    attention.kinds = sure
    with torch.no_grad():
        attention.token.weight[:, : HEADS * KEY] = 0  # the token does not see kinds
        for layer in (attention.query, attention.key):
            layer.weight.reshape(HEADS, KEY, WIDTH)[:, -GUARDED:] = 0
            assert layer.bias is not None
            layer.bias.reshape(HEADS, KEY)[:, -GUARDED:] = 0
    return attention


@pytest.mark.parametrize(
    ("cell", "change"),
    [
        (0, [0, -20, 0, -6, -10, 0]),
        (1, [0, 0, 0, -6, -10, 0]),
        (3, [0, -20, 0, 0, -10, 0]),
        (4, [0, -20, 0, -6, 0, 0]),
        (5, [-15, -35, -15, -21, -25, 0]),
    ],
)
def test_logits_fall_in_guarded_cells_that_show_something_else_than_the_hint_lies_on(attention, cell, change):
    features, x = features_of(0, 1, 0, 3, 2, KINDS.index("paint")), (cell + 0.5) / 6
    attention.guard.data.zero_()
    before = logits(attention, features, x)
    attention.guard.data.copy_(torch.tensor([20.0, 10.0, 6.0, 15.0]).sqrt().expand(HEADS, -1))
    after = logits(attention, features, x)
    np.testing.assert_allclose(after - before, np.broadcast_to(change, (HEADS, 6)), atol=0.2)


def test_bundles_without_kinds_compute_what_they_did(monkeypatch):
    bundle = find_model("touch")
    old = {k: v for k, v in weights_of(bundle).items() if not k.startswith(("attention.kinds", "attention.guard"))}
    monkeypatch.setattr("livetint.build_engine.touch_bundle.weights_of", lambda bundle: old)
    network = network_of(bundle)
    assert not network.attention.guard.any()
    kinds = network.attention.kinds.guarded(torch.rand(1, WIDTH, 2, 2)).reshape(1, 1, GUARDED, 4)
    plain = torch.rand(1, HEADS * KEY, 2, 2)
    torch.testing.assert_close(network.attention.with_kinds(plain, kinds).reshape(plain.shape), plain)
