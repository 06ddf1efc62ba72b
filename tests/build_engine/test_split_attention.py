"""q, k and v as three products: the same answers, no Split, and no change to graphs without a packed qkv."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.build_engine.apply_precision import apply_precision, folded_stages, ranges_of
from livetint.build_engine.fold import fold_constants
from livetint.build_engine.precision import to_half
from livetint.build_engine.split_attention import three_products
from livetint.engine.bundle import Bundle
from livetint.engine.models import bundled_folder
from onnx import TensorProto, helper, numpy_helper

from .small_network import small_graph


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(names, feed)), strict=True))


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def attention(
    tokens: int = 5, heads: int = 2, channels: int = 3, bias: bool = True, opset: int = 17, seed: int = 0, **changes
) -> onnx.ModelProto:
    """softmax(q k) v of a packed qkv. changes: perm of the Transpose, axis of the Split, output: also show a tensor."""
    rng, width = np.random.default_rng(seed), heads * channels
    node = helper.make_node
    constants = {
        "w": rng.normal(size=(width, 3 * width)).astype(np.float32),
        "b": rng.normal(size=3 * width).astype(np.float32),
        "shape": np.array([1, tokens, 3, heads, channels]),
        "zero": np.array([0]),
        "sizes": np.array([1, 1, 1]),
    }
    nodes = [
        node("MatMul", ["x", "w"], ["product"], "qkv/MatMul"),
        node("Add", ["b", "product"], ["sum"], "qkv/Add"),
        node("Reshape", ["sum" if bias else "product", "shape"], ["five"], "Reshape"),
        node("Transpose", ["five"], ["parts"], "Transpose", perm=changes.get("perm", [2, 0, 3, 1, 4])),
        node("Split", ["parts", "sizes"], ["q1", "k1", "v1"], "Split", axis=changes.get("axis", 0)),
        *(node("Squeeze", [f"{part}1", "zero"], [part], f"Squeeze/{part}") for part in "qkv"),
        node("Transpose", ["k"], ["turned"], "turn", perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "turned"], ["scores"], "scores"),
        node("Softmax", ["scores"], ["weights"], "softmax", axis=-1),
        node("MatMul", ["weights", "v"], ["y"], "mix"),
    ]
    if not bias:
        del nodes[1]
    outputs = ["y", *changes.get("outputs", [])]
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, tokens, width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def feed_of(model: onnx.ModelProto, seed: int = 1) -> dict[str, np.ndarray]:
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    return {"x": np.random.default_rng(seed).normal(size=shape).astype(np.float32)}


@settings(deadline=None)
@given(
    tokens=st.integers(1, 9), heads=st.integers(1, 4), channels=st.integers(1, 6), bias=st.booleans(),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_three_products_answer_as_one_packed_product(tokens: int, heads: int, channels: int, bias: bool, seed: int):
    packed = attention(tokens, heads, channels, bias, seed=seed)
    parted = three_products(packed)
    assert "Split" in kinds(packed) and not {"Split", "Squeeze"} & set(kinds(parted))
    assert kinds(parted).count("MatMul") == kinds(packed).count("MatMul") + 2
    feed = feed_of(packed, seed)
    np.testing.assert_allclose(run(parted, feed)["y"], run(packed, feed)["y"], atol=1e-5)


def test_names_tell_where_a_product_comes_from_and_a_second_time_changes_nothing():
    parted = three_products(attention())
    names = [node.name for node in parted.graph.node]
    assert names[:4] == [f"qkv/MatMul/q/{kind}" for kind in ("MatMul", "Add", "Reshape", "Transpose")]
    assert {"q", "k", "v"} <= {name for node in parted.graph.node for name in node.output}
    assert three_products(parted) is parted


@pytest.mark.parametrize(
    "changes",
    [{"perm": [2, 0, 1, 3, 4]}, {"outputs": ["sum"]}, {"outputs": ["k1"]}, {"outputs": ["five"]}],
    ids=["another order of axes", "packed result is an output", "a part is an output", "heads are an output"],
)
def test_other_forms_stay_as_they_are(changes: dict):
    model = attention(tokens=3, heads=3, **changes)
    assert three_products(model) is model


def test_graphs_without_attention_stay_as_they_are():
    model = fold_constants(small_graph())
    assert three_products(model) is model


def test_half_precision_before_and_after_is_the_same():
    packed = fold_constants(attention().SerializeToString())
    before, after = three_products(to_half(packed)), to_half(three_products(packed))
    assert "Split" not in kinds(before) + kinds(after)
    feed = feed_of(packed)
    np.testing.assert_array_equal(run(before, feed)["y"], run(after, feed)["y"])


@pytest.fixture(scope="module")
def touch() -> Bundle:
    return Bundle.load(bundled_folder() / "touch")


def test_the_bundled_encoder_has_three_products_for_every_dialect(touch: Bundle):
    """It is exported so, and nothing is left to rewrite. test_touch.py compares the products with a packed one."""
    for dialect in ("onnxruntime", "tensorrt-8"):
        encoder = folded_stages(touch, dialect)["encoder"]
        assert "Split" not in kinds(encoder) and kinds(encoder).count("Softmax") >= 2
        assert three_products(encoder) is encoder


@pytest.mark.parametrize("dialect", ["tensorrt", "tensorrt-8"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_gets_no_split_at_any_precision(touch: Bundle, dialect: str, precision: str):
    ranges = ranges_of(touch)
    assert ranges is not None and ranges.choice is not None
    converted = apply_precision(touch, precision, dialect, ranges, ranges.choice)
    assert "Split" not in kinds(onnx.load_model_from_string(converted.stage("encoder")))
