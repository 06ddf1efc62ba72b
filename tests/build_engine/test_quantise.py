"""INT8 in two dialects from one set of ranges: each follows the rules of its back end, both are close to fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from livetint.build_engine.cpu_features import pairs_saturate
from livetint.build_engine.fold import fold_constants
from livetint.build_engine.quantise import (
    bytes_by_type,
    layers_of,
    measured_tensors,
    quantise_for_onnxruntime,
    quantise_for_tensorrt,
)
from livetint.calibration.ranges import all_methods, measure
from livetint.engine.errors import ConfigError
from livetint.engine.runners.sessions import DISABLED_OPTIMISERS
from onnx import TensorProto, helper, numpy_helper

from .small_network import small_graph, small_planes


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return fold_constants(small_graph())


@pytest.fixture(scope="module")
def ranges(model: onnx.ModelProto) -> dict:
    return all_methods(measure(model, measured_tensors(model), small_planes(6)))["minmax"]


def run(model: onnx.ModelProto, optimise: bool = True) -> np.ndarray:
    options = ort.SessionOptions()
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED_OPTIMISERS
    )
    return np.asarray(session.run(None, small_planes(1, seed=9)[0])[0])


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def test_layers_are_named_after_their_weights_and_include_a_fused_activation(model):
    layers = {layer.name: layer for layer in layers_of(model)}
    assert list(layers) == ["first", "second", "up", "head"]
    assert layers["first"].output == "b"
    assert layers["up"].output == "e", "LeakyRelu is not folded"


@pytest.mark.parametrize("half", [True, False])
def test_for_tensorrt_only_inputs_and_weights_are_quantised_signed_and_symmetric(model, ranges, half):
    quantised = quantise_for_tensorrt(model, ranges, half=half)
    onnx.checker.check_model(quantised, full_check=True)
    values = constants(quantised)
    for node in quantised.graph.node:
        if node.op_type == "QuantizeLinear":
            assert not values[node.input[2]].any() and values[node.input[2]].dtype == np.int8
    kind, dtype = ("DequantizeLinear", np.int8) if half else ("QuantizeLinear", np.float32)
    weights = [n for n in quantised.graph.node if n.op_type == kind and n.input[0] in values]
    assert {values[n.input[0]].dtype for n in weights} == {np.dtype(dtype)}, "TensorRT 8 quantises float weights itself"
    assert sorted(values[n.input[1]].size for n in weights) == [2, 8, 16], "a scale per channel, no deconvolution"
    inputs = [n for n in quantised.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in values]
    assert len(inputs) == 3 and {values[n.input[1]].size for n in inputs} == {1}, "inputs, never outputs"
    assert all(n.input[0] not in values for n in quantised.graph.node if n.op_type == "DequantizeLinear") != half
    assert quantised.opset_import[0].version == (19 if half else 17)


def test_scales_are_exact_in_fp16(model, ranges):
    values = constants(quantise_for_tensorrt(model, ranges, half=False))
    narrow = constants(quantise_for_tensorrt(model, ranges, half=True))
    scales = [v for n, v in narrow.items() if "/scale" in n and v.dtype == np.float16]
    assert scales and all(np.all(s > 0) for s in scales)
    assert any(v.dtype == np.float32 for n, v in values.items() if "/scale" in n)


def test_for_onnxruntime_activations_are_unsigned_and_biases_integers(model, ranges):
    quantised = quantise_for_onnxruntime(model, ranges)
    kinds = bytes_by_type(quantised.SerializeToString())
    assert {"uint8", "int8", "int32"} <= kinds.keys()
    assert "ab" in {o.name for o in quantised.graph.output}


@pytest.mark.parametrize("dialect", ["tensorrt", "tensorrt-8", "onnxruntime"])
def test_every_dialect_is_close_to_fp32(model, ranges, dialect):
    if dialect == "onnxruntime":
        found = run(quantise_for_onnxruntime(model, ranges))
    else:
        found = run(quantise_for_tensorrt(model, ranges, half=dialect == "tensorrt"), optimise=False)
    assert np.abs(found - run(model)).mean() < 3


def test_kept_layers_are_not_touched(model, ranges):
    names = [layer.name for layer in layers_of(model)]
    untouched = quantise_for_onnxruntime(model, ranges, keep=names)
    assert "QuantizeLinear" not in {n.op_type for n in untouched.graph.node}
    some = quantise_for_tensorrt(model, ranges, keep=["first"])
    assert "first.weight/half" in constants(some) and "head.weight/half" not in constants(some)
    for more in ({"keep": ["first"]}, {"keep_fp32": [next(n.name for n in model.graph.node if n.op_type == "Conv")]}):
        some = quantise_for_tensorrt(model, ranges, half=False, **more)
        weights = {n.input[1] for n in some.graph.node if n.op_type == "Conv"}
        assert "first.weight" in weights and "head.weight" not in weights


def test_integer_weights_are_the_same_in_both_dialects_of_tensorrt(model, ranges):
    """TensorRT 8 rounds float weights by the same scales; only fp16's rounding of the scales differs."""
    paired = quantise_for_tensorrt(model, ranges, half=False)
    node = next(n for n in paired.graph.node if n.name == "first.weight/q8/quantize")
    weights, scales = (constants(paired)[name] for name in node.input[:2])
    integers = np.rint(weights / scales.reshape(-1, 1, 1, 1))
    assert np.abs(integers).max() == 127 and scales.shape == (8,)


def test_folding_a_quantised_graph_does_not_undo_the_quantisation(model, ranges):
    quantised = quantise_for_tensorrt(model, ranges)
    again = fold_constants(quantised.SerializeToString())
    assert bytes_by_type(again.SerializeToString())["int8"] == bytes_by_type(quantised.SerializeToString())["int8"]


def test_ranges_of_another_graph_are_refused(model, ranges):
    with pytest.raises(ConfigError, match="livetint calibrate"):
        quantise_for_tensorrt(model, {k: v for k, v in ranges.items() if k != "d"})


def test_without_vnni_no_pair_of_products_can_saturate(model, ranges):
    exact, safe = (constants(quantise_for_onnxruntime(model, ranges, (), saturates)) for saturates in (False, True))
    for name, weights in safe.items():
        if weights.dtype == np.int8 and weights.ndim == 4:
            by_channel = np.moveaxis(weights.astype(int), int(name.startswith("up")), 0)
            whole = by_channel.reshape(len(by_channel), -1)
            for signed in (whole, -whole):
                assert np.sort(np.maximum(signed, 0), 1)[:, -2:].sum(1).max() * 255 < 2**15
            assert np.abs(exact[name]).max() == 127
    full = run(quantise_for_onnxruntime(model, ranges, (), True))
    assert np.abs(full - run(model)).mean() < 3


@pytest.mark.parametrize(
    ("machine", "flags", "saturates"),
    [
        ("x86_64", "fpu avx2 fma", True),
        ("AMD64", "fpu avx512f avx512_vnni", False),
        ("x86_64", "avx_vnni", False),
        ("aarch64", "asimd asimddp", False),
        ("x86_64", None, True),
    ],
)
def test_vnni_is_read_from_the_cpu_flags(tmp_path: Path, machine, flags, saturates):
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert pairs_saturate(machine, cpuinfo) is saturates


PLANE = [1, 4, 16, 16]


def chain(number: int, outputs: list[int]) -> onnx.ModelProto:
    """`number` convolutions in sequence, layers "0", "1", …; those in `outputs` have an output "y0", "y1", …."""
    rng = np.random.default_rng(5)
    weights = [
        numpy_helper.from_array(rng.normal(size=(4, 4, 3, 3)).astype(np.float32), f"{n}.weight") for n in range(number)
    ]
    nodes = [
        helper.make_node("Conv", ["x" if n == 0 else f"y{n - 1}", f"{n}.weight"], [f"y{n}"], pads=[1] * 4)
        for n in range(number)
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "chain", [value("x", TensorProto.FLOAT, PLANE)],
        [value(f"y{n}", TensorProto.FLOAT, PLANE) for n in outputs], weights,
    )  # fmt: skip
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    return fold_constants(data)


def quantised_chain(model: onnx.ModelProto, keep: list[str], path: Path) -> tuple[list[str], float]:
    """The operators that ONNX Runtime runs, and the largest mean error of an output relative to its largest value."""
    feed = {"x": np.random.default_rng(6).uniform(-1, 1, PLANE).astype(np.float32)}
    ranges = all_methods(measure(model, measured_tensors(model), [feed]))["minmax"]
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(path), 3
    providers = ["CPUExecutionProvider"]
    narrow = ort.InferenceSession(
        quantise_for_onnxruntime(model, ranges, keep, True).SerializeToString(), options, providers=providers,
        disabled_optimizers=DISABLED_OPTIMISERS,
    )  # fmt: skip
    wide = ort.InferenceSession(model.SerializeToString(), providers=providers)
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(narrow.run(None, feed), wide.run(None, feed), strict=True)]
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    return kinds, max(float(np.abs(a - b).mean() / np.abs(b).max()) for a, b in pairs)


def test_convolutions_that_give_an_output_use_integers_too(tmp_path: Path):
    kinds, error = quantised_chain(chain(2, [0, 1]), [], tmp_path / "optimised.onnx")
    assert kinds.count("QLinearConv") == 2 and "Conv" not in kinds
    assert error < 0.02


def test_a_kept_layer_stays_in_fp32_in_onnxruntime_too(tmp_path: Path):
    """Without care ONNX Runtime quantises its weights, between a dequantised input and a quantised output."""
    kinds, error = quantised_chain(chain(3, [2]), ["1"], tmp_path / "optimised.onnx")
    assert kinds.count("QLinearConv") == 2 and kinds.count("Conv") == 1
    assert error < 0.02
