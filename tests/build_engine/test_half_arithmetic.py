"""Emulated fp16: exact where nothing is rounded, sums round as stated, the bundled model stays within its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.build_engine.accuracy_report import example_cases, measure_emulated, reference_answers
from livetint.build_engine.apply_precision import apply_precision
from livetint.build_engine.half_arithmetic import (
    CHUNK,
    EmulatedRunner,
    convolution,
    matrix_product,
    transposed_convolution,
)
from livetint.engine.errors import ConfigError
from livetint.engine.models import find_model
from onnx import TensorProto, helper

from .small_network import small_bundle


def in_onnxruntime(op: str, arrays: list[np.ndarray], **attributes: Any) -> np.ndarray:
    """One node in fp32."""
    names = [f"i{index}" for index in range(len(arrays))]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)], "one",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in zip(names, arrays, strict=True)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {n: a.astype(np.float32) for n, a in zip(names, arrays, strict=True)})[0])


def small_integers(seed: int, *shape: int) -> np.ndarray:
    """fp16 whole numbers so small that no sum of their products is rounded."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float16)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_convolution_without_rounding_is_exact(data: st.DataObject):
    draw = data.draw
    group, per_input, per_output = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 19])), draw(st.integers(1, 3))
    size, kernel = (
        draw(st.tuples(st.integers(5, 9), st.integers(5, 9))),
        draw(st.sampled_from([(1, 1), (3, 3), (2, 3)])),
    )
    attributes = {
        "group": group, "pads": draw(st.lists(st.integers(0, 2), min_size=4, max_size=4)),
        "strides": draw(st.sampled_from([(1, 1), (2, 2), (1, 2)])),
        "dilations": draw(st.sampled_from([(1, 1), (2, 1)])),
    }  # fmt: skip
    x, bias = small_integers(1, 1, group * per_input, *size), small_integers(2, group * per_output)
    weights = small_integers(3, group * per_output, per_input, *kernel)
    got = convolution([x, weights, bias], attributes)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, in_onnxruntime("Conv", [x, weights, bias], **attributes))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([(1, 1), (2, 2), (2, 1)]), st.lists(st.integers(0, 1), min_size=4, max_size=4), st.booleans())
def test_a_transposed_convolution_without_rounding_is_exact(strides: tuple[int, int], pads: list[int], longer: bool):
    x, weights, bias = small_integers(1, 1, 18, 4, 5), small_integers(2, 18, 3, 4, 3), small_integers(3, 3)
    padding = (int(longer and strides[0] > 1), 0)
    attributes = {"strides": strides, "pads": pads, "output_padding": padding}
    got = transposed_convolution([x, weights, bias], attributes)
    np.testing.assert_array_equal(got, in_onnxruntime("ConvTranspose", [x, weights, bias], **attributes))


@pytest.mark.parametrize("shapes", [((5, 40), (40, 3)), ((2, 3, 5, 20), (2, 3, 20, 4)), ((1, 5, 20), (20, 4))])
def test_a_product_without_rounding_is_exact(shapes: tuple[tuple[int, ...], tuple[int, ...]]):
    a, b = small_integers(1, *shapes[0]), small_integers(2, *shapes[1])
    np.testing.assert_array_equal(matrix_product([a, b], {}), in_onnxruntime("MatMul", [a, b]))


def test_gemm_has_its_transposes_factors_and_bias():
    a, b, bias = small_integers(1, 20, 5), small_integers(2, 3, 20), small_integers(3, 3)
    attributes = {"transA": 1, "transB": 1, "alpha": 2.0, "beta": 4.0}
    np.testing.assert_array_equal(
        matrix_product([a, b, bias], attributes), in_onnxruntime("Gemm", [a, b, bias], **attributes)
    )


def test_the_running_sum_is_rounded_after_each_chunk():
    # 2048 + 1 is no fp16 number: the sum stays 2048 for as many ones as are added one chunk at a time.
    ones = np.ones((1, 3 * CHUNK), np.float16)
    ones[0, CHUNK:] = 1 / CHUNK
    ones[0, 0] = 2048 - (CHUNK - 1)
    column = np.ones((3 * CHUNK, 1), np.float16)
    assert matrix_product([ones, column], {})[0, 0] == 2048
    assert ones.astype(np.float64).sum() == 2050 == np.float16(2050), "a sum in fp32 would have kept them"


def test_what_is_too_large_becomes_infinite():
    large = np.full((1, 2), 60000, np.float16)
    assert np.isinf(matrix_product([large, np.ones((2, 1), np.float16)], {})).all()


def test_what_cannot_be_emulated_is_refused():
    x, weights = small_integers(1, 2, 1, 4, 4), small_integers(2, 1, 1, 3, 3)
    with pytest.raises(ConfigError, match="batch of one"):
        convolution([x, weights], {})
    with pytest.raises(ConfigError, match="cannot be emulated"):
        transposed_convolution([x[:1], weights], {"auto_pad": b"SAME_UPPER"})


def test_a_graph_is_computed_as_onnxruntime_does_but_for_sums(tmp_path):
    bundle = small_bundle(tmp_path / "small")
    half = apply_precision(bundle, "fp16", "tensorrt")
    L = np.full(bundle.manifest.input.working_size, 60, np.float32)
    with EmulatedRunner(bundle) as plain, EmulatedRunner(half) as emulated:
        right, got = (runner.colorize(runner.encode(L), ()) for runner in (plain, emulated))
    assert 0 < np.abs(got - right).max() < 0.5


def test_the_bundled_model_loses_little_in_a_gpus_fp16():
    bundle = find_model("touch")
    reference = reference_answers(bundle, example_cases())
    found = measure_emulated(reference, apply_precision(bundle, "fp16", "tensorrt"), example_cases())
    assert found.within and found.mean_ab <= 0.1 and found.map_error <= 0.03, found.sentence()
    assert found.mean_ab > 0.01, "sums are rounded too: results alone change ab by 0.007"
