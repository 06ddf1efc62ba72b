"""The paper's networks compared with the authors' module: keys, counts and outputs."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from livetint.build_engine.networks import TOPOLOGIES
from livetint.build_engine.networks.topology import Topology
from livetint.build_engine.planes_bundle import MASKS
from livetint.build_engine.topology_onnx import topology_model

from ..golden import recipe
from ..needs import needs
from .networks_common import SEED, answer, planes, recipe_weights, session, softened

if TYPE_CHECKING:
    from torch import nn

Answer = tuple[np.ndarray, "np.ndarray | None"]

GOLDEN = Path(__file__).parent.parent / "golden"
CONVENTIONS = {"mask01": "zero-one", "mask05": "centred"}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "siggraph17.npz") as archive:
        return dict(archive)


def golden_planes(golden: dict[str, np.ndarray], name: str) -> np.ndarray:
    L, ab, mask = recipe.inputs(int(golden["seed"]), int(golden["size"]))
    low, high = MASKS[CONVENTIONS[name]]
    return np.concatenate([(L - 50) / 100, ab / 110, mask * (high - low) + low])[None].astype(np.float32)


def published_shapes() -> dict[str, tuple[int, ...]]:
    lines = (GOLDEN / "siggraph17_keys.tsv").read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return {key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape in pairs}


def parameters(table: Topology) -> int:
    """Number of learned parameters; the running statistics of the BatchNorms are not among them."""
    return sum(math.prod(shape) for key, shape in table.shapes().items() if ".running_" not in key)


def test_has_the_published_number_of_parameters_and_operations() -> None:
    table = TOPOLOGIES["siggraph17"]()
    assert parameters(table) == 34_187_027
    assert round(table.macs() / 1e9, 2) == 75.75


@pytest.mark.parametrize(
    ("network", "more"),
    [("siggraph17-hypercolumn", 14_475_193), ("siggraph17-global", 950_784 + 4 * 2 * 512 - 3 * 64 * 9)],
)
def test_the_other_networks_add_what_the_paper_adds(network: str, more: int) -> None:
    assert parameters(TOPOLOGIES[network]()) == 34_051_074 + more


@needs("torch")
def test_state_dict_has_the_published_keys_and_shapes() -> None:
    from livetint.build_engine.networks.planes import planes_network

    state = planes_network("siggraph17").state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == published_shapes()


def test_table_names_what_the_state_dict_names() -> None:
    expected = {key: shape for key, shape in published_shapes().items() if shape}
    assert TOPOLOGIES["siggraph17"]().shapes() == expected


@needs("torch")
@pytest.mark.parametrize("name", CONVENTIONS)
def test_pytorch_answers_as_the_authors_module(golden: dict[str, np.ndarray], name: str) -> None:
    ab, logits = torch_answer("siggraph17", golden_planes(golden, name))
    assert logits is not None
    assert np.abs(ab[0] - golden[f"ab_{name}"]).max() <= 2e-3
    assert np.abs(softened(logits[0])[:, ::2, ::2] - golden[f"dist_{name}"]).max() <= 1e-5


@pytest.mark.parametrize("name", CONVENTIONS)
def test_onnx_answers_as_the_authors_module(golden: dict[str, np.ndarray], name: str) -> None:
    size = (int(golden["size"]),) * 2
    weights = recipe_weights("siggraph17", int(golden["seed"]))
    run = session(topology_model(TOPOLOGIES["siggraph17"](), weights, size).SerializeToString())  # pyright: ignore[reportArgumentType]
    ab, logits = answer(run, ["ab", "logits"], {"planes": golden_planes(golden, name)})
    assert np.abs(ab[0] - golden[f"ab_{name}"]).max() <= 5e-3
    assert np.abs(softened(logits[0])[:, ::2, ::2] - golden[f"dist_{name}"]).max() <= 1e-5


def torch_answer(network: str, x: np.ndarray, vector: np.ndarray | None = None, seed: int = SEED) -> Answer:
    """ab and logits (None without a head) by PyTorch."""
    import torch

    net = torch_network(network, seed)
    with torch.no_grad():
        out = net(torch.from_numpy(x), None if vector is None else torch.from_numpy(vector))
    return out["ab"].numpy(), out["logits"].numpy() if "logits" in out else None


@lru_cache(1)
def torch_network(network: str, seed: int) -> nn.Module:
    import torch
    from livetint.build_engine.networks.planes import planes_network

    net = planes_network(network).eval()
    state = {key: torch.from_numpy(value) for key, value in recipe_weights(network, seed).items()}
    assert not net.load_state_dict(state, strict=False).unexpected_keys
    return net


@needs("torch")
@pytest.mark.parametrize("network", list(TOPOLOGIES))
def test_onnx_equals_pytorch_at_every_size_number_of_hints_and_seed(network: str) -> None:
    seed = 3
    topology = TOPOLOGIES[network]()
    run = session(topology_model(topology, recipe_weights(network, seed), size=None).SerializeToString())
    rng = np.random.default_rng(5)
    for size, hints in (((32, 32), 0), ((40, 24), 1), ((24, 72), 10), ((64, 16), 100)):
        inputs = {"planes": planes(seed, size, hints=hints)[:, : topology.inputs["planes"]]}
        vector = None
        if "global" in topology.inputs:
            vector = rng.dirichlet(np.ones(316))[None].astype(np.float32)
            inputs["global"] = vector
        ab, logits = torch_answer(network, inputs["planes"], vector, seed)
        answers = dict(zip(topology.outputs, answer(run, list(topology.outputs), inputs), strict=True))
        assert answers["ab"].shape == (1, 2, *size)
        assert np.abs(answers["ab"] - ab).max() <= 5e-3
        if logits is not None:
            assert answers["logits"].shape[2:] == (size[0] // 4, size[1] // 4)
            assert np.abs(softened(answers["logits"][0]) - softened(logits[0])).max() <= 1e-5


@needs("torch")
def test_decimation_keeps_every_second_row_and_column_bit_for_bit() -> None:
    import torch
    from livetint.build_engine.networks.planes import decimate

    x = torch.randn(1, 3, 10, 14)
    assert torch.equal(decimate(x), x[:, :, ::2, ::2])


@needs("torch")
@pytest.mark.parametrize("network", ["siggraph17", "siggraph17-hypercolumn"])
def test_the_head_does_not_train_the_trunk(network: str) -> None:
    import torch
    from livetint.build_engine.networks.planes import planes_network

    net = planes_network(network)
    net(torch.randn(1, 4, 16, 16))["logits"].square().mean().backward()
    learned = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert learned == {"model_class" if network == "siggraph17" else "hypercolumn"}


@needs("torch")
def test_in_the_classification_stage_the_decoder_does_not_train_the_trunk() -> None:
    import torch
    from livetint.build_engine.networks.planes import DECODER, planes_network

    net = planes_network("siggraph17")
    net.stopped = frozenset({DECODER})
    net(torch.randn(1, 4, 16, 16))["ab"].square().mean().backward()
    learned = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert learned == {
        "model9up", "model2short9", "model9", "model10up", "model1short10", "model10", "model_out"
    }  # fmt: skip


@needs("torch")
def test_hypercolumn_sums_its_branches_as_one_layer_over_the_concatenated_maps() -> None:
    import torch
    from livetint.build_engine.networks.planes import planes_network

    net = planes_network("siggraph17-hypercolumn").eval()
    maps: dict[str, torch.Tensor] = {}
    for number in range(3, 9):
        branch = net.get_submodule(f"hypercolumn.conv{number}")
        branch.register_forward_hook(lambda m, i, o, n=number: maps.update({f"in{n}": i[0], f"out{n}": o}))  # pyright: ignore[reportCallIssue, reportArgumentType]
    with torch.no_grad():
        logits = net(torch.randn(1, 4, 32, 32))["logits"]
        hidden = torch.relu(torch.stack([maps[f"out{n}"] for n in range(3, 9)]).sum(0))
        assert torch.allclose(net.get_submodule("hypercolumn.classes")(hidden), logits, atol=1e-6)
    assert maps["in3"].shape[2:] == maps["in8"].shape[2:] == (8, 8)
    assert maps["in4"].shape[2:] == (4, 4) and maps["out4"].shape[1:] == (384, 8, 8)


def test_batch_norms_are_exact_at_padded_borders_even_with_negative_gamma() -> None:
    """A BatchNorm follows a ReLU here: folded into the next, padded convolution it would be wrong at the border."""
    weights = dict(recipe_weights("siggraph17", 8))
    for key in list(weights):
        if (
            len(weights[key].shape) == 1
            and f"{key.rsplit('.', 1)[0]}.running_var" in weights
            and key.endswith("weight")
        ):
            weights[key] = weights[key] * np.where(np.arange(len(weights[key])) % 2, -1, 1).astype(np.float32)
    x = planes(8, (32, 32))
    model = topology_model(TOPOLOGIES["siggraph17"](), weights, (32, 32))
    optimised = answer(session(model.SerializeToString()), ["ab"], {"planes": x})[0]
    expected = plain_answer(weights, x)
    assert np.abs(optimised - expected)[..., [0, 1, -2, -1]].max() <= 5e-3
    assert np.abs(optimised - expected).max() <= 5e-3


def plain_answer(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """ab by the reference evaluator of onnx, which runs every node as written and fuses nothing."""
    from onnx.reference import ReferenceEvaluator

    model = topology_model(TOPOLOGIES["siggraph17"](), weights, (32, 32))
    return np.asarray(ReferenceEvaluator(model).run(["ab"], {"planes": x})[0])  # type: ignore[call-overload]
