"""Folding changes no result, fp16 loses little, and what has to stay in fp32 stays in fp32."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from livetint.build_engine.apply_precision import ranges_of
from livetint.build_engine.fold import element_types, fold_constants
from livetint.build_engine.precision import to_half
from livetint.engine.errors import ModelFileError
from livetint.engine.models import find_model
from onnx import TensorProto, helper

from .small_network import small_graph, small_planes


def run(model: onnx.ModelProto | bytes, feed: dict[str, np.ndarray]) -> np.ndarray:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return np.asarray(ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feed)[0])


def test_folding_keeps_every_bit_and_drops_casts_of_weights():
    feed = small_planes(1)[0]
    model = fold_constants(small_graph())
    assert "Cast" not in {node.op_type for node in model.graph.node}
    np.testing.assert_array_equal(run(model, feed), run(small_graph(), feed))


def test_folding_fixes_named_axes_and_the_shape_arithmetic_behind_them():
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "one"], ["n"]),
            node("Concat", ["minus", "n"], ["target"], axis=0),
            node("Reshape", ["x", "target"], ["y"]),
        ],
        "reshape",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, "hints", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("minus", TensorProto.INT64, [1], [-1]),
        ],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    model = fold_constants(data, {"hints": 5})
    assert [n.op_type for n in model.graph.node] == ["Reshape"]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [6, 5]


def test_folding_keeps_the_names_that_ranges_are_keyed_by_and_is_quiet(capfd):
    bundle = find_model("touch")
    ranges = ranges_of(bundle)
    assert ranges is not None
    model = fold_constants(bundle.stage("encoder"))
    names = {i.name for i in model.graph.input} | {name for node in model.graph.node for name in node.output}
    assert names >= ranges.of("encoder", "minmax").keys()
    assert {node.op_type for node in model.graph.node}.isdisjoint({"Constant", "Shape", "Cast"})
    assert capfd.readouterr() == ("", "")


def test_large_constants_and_random_numbers_stay_computed():
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Expand", ["two", "shape"], ["large"]),
            node("RandomNormal", [], ["random"], shape=[1, 2]),
            node("Neg", ["two"], ["minus"]),
            node("Sum", ["x", "large", "random", "minus"], ["y"]),
        ],
        "constants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("two", TensorProto.FLOAT, [1, 2], [1, 2]),
            helper.make_tensor("shape", TensorProto.INT64, [2], [5_000_000, 2]),
        ],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    assert [n.op_type for n in fold_constants(data).graph.node] == ["Expand", "RandomNormal", "Sum"]


def test_what_cannot_be_computed_is_refused_in_one_line():
    graph = helper.make_graph(
        [helper.make_node("Own", ["one"], ["two"], domain="strange"), helper.make_node("Add", ["x", "two"], ["y"])],
        "strange",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("strange", 1)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    with pytest.raises(ModelFileError, match=r"cannot be prepared: .*; export the model again") as caught:
        fold_constants(data)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_graph_is_refused_in_one_sentence():
    with pytest.raises(ModelFileError, match="cannot be prepared"):
        fold_constants(helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString()[:-3] + b"xyz")


def test_fp16_leaves_inputs_outputs_and_the_last_operations_in_fp32():
    model = to_half(fold_constants(small_graph()))
    onnx.checker.check_model(model, full_check=True)
    types = element_types(model)
    assert types["planes"] == types["ab"] == TensorProto.FLOAT
    wide = {n.op_type for n in model.graph.node if types[n.output[0]] == TensorProto.FLOAT}
    half = {n.op_type for n in model.graph.node if types[n.output[0]] == TensorProto.FLOAT16}
    assert {"Tanh", "Mul"} <= wide
    assert {"Conv", "ConvTranspose", "Relu", "LeakyRelu"} <= half - wide


def test_fp16_is_close_to_fp32_and_smaller():
    feed = small_planes(1)[0]
    model = fold_constants(small_graph())
    narrow = to_half(model)
    assert np.abs(run(narrow, feed) - run(model, feed)).max() < 0.5
    assert narrow.ByteSize() < model.ByteSize()


def test_named_nodes_stay_in_fp32():
    model = to_half(fold_constants(small_graph()), keep={"second"})
    types = element_types(model)
    kept = next(n for n in model.graph.node if n.name == "second")
    assert {types[name] for name in [*kept.input, *kept.output]} == {TensorProto.FLOAT}


def test_exponentials_stay_in_fp32_between_products():
    node = helper.make_node
    graph = helper.make_graph(
        [node("MatMul", ["x", "w"], ["a"]), node("Exp", ["a"], ["b"]), node("MatMul", ["b", "w"], ["y"])],
        "exp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.eye(4, dtype=np.float32).ravel())],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    model = to_half(fold_constants(data))
    exp = next(n for n in model.graph.node if n.op_type == "Exp")
    assert element_types(model)[exp.output[0]] == TensorProto.FLOAT
