"""Cut graphs: the part computed once per photograph and the rest together answer as the whole graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ModelFileError
from livetint.engine.hints import Hint
from livetint.engine.inputs import hint_tensors
from livetint.engine.models import find_model
from livetint.engine.runners.base import NO_GLOBAL_HINTS
from livetint.engine.runners.onnx import TOUCH_INPUTS, OnnxRunner
from livetint.engine.runners.subgraph import extract_outputs, extract_tensor, split_precomputed, stage_graph
from onnx import TensorProto, helper

from ...build_engine.networks_common import answer, session


def model(nodes: Sequence[tuple[str, list[str], str]], inputs: Sequence[str] = ("map", "touch")) -> bytes:
    """A graph of [2, 2] tensors that gives `out`; nodes are (operator, inputs, output), `one` a constant of ones."""
    graph = helper.make_graph(
        [helper.make_node(operator, given, [output]) for operator, given, output in nodes],
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in inputs],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2, 2])],
        [onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def operators(data: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(data).graph.node]


def test_what_depends_on_the_map_alone_is_precomputed():
    data = model([
        ("Transpose", ["map"], "turned"), ("Exp", ["turned"], "grown"), ("Neg", ["one"], "minus"),
        ("Mul", ["grown", "minus"], "once"), ("Add", ["touch", "minus"], "late"), ("Add", ["late", "once"], "out"),
    ])  # fmt: skip
    first, rest = split_precomputed(data, ["touch"])
    assert first is not None
    assert operators(first) == ["Transpose", "Exp", "Neg", "Mul"] and operators(rest) == ["Neg", "Add", "Add"]
    given = {name: np.random.default_rng(0).random((2, 2), np.float32) for name in ("map", "touch")}
    whole = answer(session(data), ["out"], given)[0]
    once = answer(session(first), ["once"], {"map": given["map"]})[0]
    parts = answer(session(rest), ["out"], {"touch": given["touch"], "once": once})[0]
    np.testing.assert_allclose(parts, whole)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Add", ["map", "touch"], "sum"), ("Exp", ["sum"], "out")],
        [("Identity", ["map"], "same"), ("Add", ["same", "touch"], "out")],
        [("Neg", ["one"], "minus"), ("Add", ["minus", "touch"], "out")],
    ],
)
def test_a_graph_with_nothing_to_precompute_stays_whole(nodes):
    data = model(nodes)
    assert split_precomputed(data, ["touch"]) == (None, data)


def test_a_graph_with_unknown_types_stays_whole():
    data = model([("Own", ["map"], "strange"), ("Add", ["strange", "touch"], "out")])
    assert split_precomputed(data, ["touch"]) == (None, data)


@pytest.mark.parametrize("stage", ["touch", "distribution"])
def test_the_parts_of_a_stage_answer_as_the_whole(stage: str):
    bundle = find_model("touch")
    L = np.random.default_rng(0).uniform(0, 100, (256, 256)).astype(np.float32)
    hints = [Hint(0.1 + i / 10, 0.7, 30 - i, 9 * i, 1 + i) for i in range(9)]
    points = np.array([[[0.1, 0.2], [0.5, 0.5]]], np.float32)
    with OnnxRunner(bundle) as runner:
        maps = runner.encode(L).maps
    given = {**maps, **hint_tensors(hints), "global_hints": NO_GLOBAL_HINTS.vector()[None], "points": points}
    name = "ab" if stage == "touch" else "probabilities"
    whole = session(bundle.stage(stage))
    expected = answer(whole, [name], {value.name: given[value.name] for value in whole.get_inputs()})[0]
    first, rest = split_precomputed(bundle.stage(stage), TOUCH_INPUTS)
    assert first is not None
    once, touch = session(first), session(rest)
    names = [value.name for value in once.get_outputs()]
    precomputed = answer(once, names, {value.name: given[value.name] for value in once.get_inputs()})
    given.update(zip(names, precomputed, strict=True))
    parts = answer(touch, [name], {value.name: given[value.name] for value in touch.get_inputs()})[0]
    np.testing.assert_allclose(parts, expected, atol=1e-4)


def test_features_keep_what_is_precomputed():
    L = np.full((256, 256), 50, np.float32)
    hints = [Hint(0.5, 0.5, 40, 0)]
    with OnnxRunner(find_model("touch")) as runner:
        features = runner.encode(L)
        (kept,) = features.precomputed.values()
        first = runner.colorize(features, hints)
        assert kept and list(features.precomputed.values()) == [kept]
        others = runner.colorize(runner.encode(np.tile(L[0] - np.arange(256.0) / 9, (256, 1))), hints)
        assert np.abs(others - first).max() > 1
        np.testing.assert_array_equal(runner.colorize(features, hints), first)


def test_a_graph_that_cannot_be_cut_is_refused_in_one_sentence():
    graph = onnx.load_model_from_string(model([("Add", ["map", "touch"], "out")]))
    graph.graph.sparse_initializer.append(onnx.SparseTensorProto())
    with pytest.raises(ModelFileError, match=r"cannot be cut: .*; export the model again"):
        extract_outputs(graph.SerializeToString(), ["out"])


def test_no_runner_computes_what_no_stage_reads():
    """An encoder keeps the outputs that are inputs of other stages; its file keeps the others."""
    encoder = onnx.load_model_from_string(model([("Exp", ["map"], "grown"), ("Neg", ["grown"], "out")], ["map"]))
    encoder.graph.output.append(helper.make_tensor_value_info("grown", TensorProto.FLOAT, [2, 2]))
    touch = model([("Add", ["out", "touch"], "sum"), ("Neg", ["sum"], "out2")], ["out", "touch"])
    stages = {"encoder": "encoder.onnx", "touch": "touch.onnx"}
    bundle = msgspec.structs.replace(find_model("touch").manifest, stages=stages, files={}, ranges="")
    files = {"encoder.onnx": encoder.SerializeToString(), "touch.onnx": touch}
    cut = onnx.load_model_from_string(stage_graph(Bundle(Path(), bundle, files), "encoder"))
    assert [value.name for value in cut.graph.output] == ["out"]
    whole = {**files, "encoder.onnx": model([("Exp", ["map"], "out")], ["map"])}
    assert stage_graph(Bundle(Path(), bundle, whole), "encoder") is whole["encoder.onnx"]


def test_a_missing_output_is_named():
    with pytest.raises(ModelFileError, match="no output colour; it offers out"):
        extract_outputs(model([("Add", ["map", "touch"], "out")]), ["colour"])


def test_a_part_keeps_only_the_inputs_that_it_needs():
    data = model([("Exp", ["map"], "grown"), ("Add", ["grown", "touch"], "out")])
    part = onnx.load_model_from_string(extract_tensor(data, "grown"))
    assert [value.name for value in part.graph.input] == ["map"] and not part.graph.initializer
