"""Plans of TensorRT 8.6, built by the stand-in: what may be narrow is, what must stay in fp32 does and is checked."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from livetint.build_engine.apply_precision import apply_precision, folded_stages, ranges_of
from livetint.build_engine.fp32_holds import PrecisionDropped
from livetint.build_engine.plan_graphs import plan_graphs
from livetint.build_engine.plan_inspector import BuiltLayer, built_layers
from livetint.build_engine.plans import Graph, PlanOptions, build_plan
from livetint.build_engine.precision import half_nodes
from livetint.build_engine.split_attention import three_products
from livetint.cli.build import build
from livetint.engine.bundle import Bundle
from livetint.engine.errors import RunnerError
from livetint.engine.models import bundled_folder
from livetint.engine.runners.tensorrt.plan_folder import read_plans
from livetint.engine.runners.tensorrt.versions import LoadedTarget, traits_of

from ..fakecuda.plans import tiny_bundle
from ..fakecuda.tensorrt_builder import DROPPED_HOLD, Network
from ..fakecuda.tensorrt_standin import ILogger, module
from .test_split_attention import attention, feed_of, run

VERSION = "8.6.1"


class Log(ILogger):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, severity: int, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def target() -> LoadedTarget:
    return LoadedTarget("tensorrt", module("tensorrt", VERSION), VERSION, traits_of("tensorrt", (8, 6, 1)))


@pytest.fixture(scope="module")
def touch() -> Bundle:
    return Bundle.load(bundled_folder() / "touch")


def converted_graphs(touch: Bundle, precision: str, keep_fp32: frozenset[str] = frozenset()) -> list[Graph]:
    ranges = ranges_of(touch)
    assert ranges is not None and ranges.choice is not None
    converted = apply_precision(touch, precision, "tensorrt-8", ranges, ranges.choice, keep_fp32=keep_fp32)
    return plan_graphs(converted, precision, keep_fp32)


@pytest.fixture(scope="module")
def fp16_graphs(touch: Bundle) -> list[Graph]:
    return converted_graphs(touch, "fp16")


def graph_of(plan: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(plan.partition(b"\n")[2])


def built(target: LoadedTarget, graph: Graph) -> tuple[bytes, list[str]]:
    said: list[str] = []
    plan, _ = build_plan(target, graph, PlanOptions("fp16"), say=said.append)
    return plan, said


def types_by_name(layers: list[BuiltLayer]) -> dict[str, str]:
    return {name: layer.info.precision for layer in layers for name in layer.info.name.split(" + ")}


def test_without_our_choice_of_tactics_the_build_fails_where_cublas_is_not_installed(target, fp16_graphs):
    log, trt = Log(), target.module
    builder = trt.Builder(log)
    network = builder.create_network(1)
    assert trt.OnnxParser(network, log).parse(fp16_graphs[0].onnx)
    assert builder.build_serialized_network(network, builder.create_builder_config()) is None
    assert "CUBLAS" in log.lines[0]
    assert built(target, fp16_graphs[0])[0]


def test_stages_of_a_touch_are_not_narrowed(target, fp16_graphs):
    for graph in fp16_graphs:
        if graph.stage == "encoder" or graph.hints > 16:
            continue
        plan, said = built(target, graph)
        assert not said and {layer.info.precision for layer in built_layers(target, plan)}.isdisjoint({"half"})
        built_nodes, nodes = (list(model.graph.node) for model in (graph_of(plan), onnx.load_from_string(graph.onnx)))
        assert built_nodes == nodes, "nothing rounds in it"


def test_the_encoder_is_narrow_except_where_it_must_not_be(target, touch, fp16_graphs):
    """The end of the encoder reaches 3067, and LayerNormalization has no layer of its node's name."""
    encoder = fp16_graphs[0]
    model = onnx.load_model_from_string(encoder.onnx)
    plan, said = built(target, encoder)
    types = types_by_name(built_layers(target, plan))
    wide = {n.name for i, n in enumerate(model.graph.node) if i not in half_nodes(model)}
    assert wide & types.keys() >= {"/Mul_5", "/Neg_2", "/Exp", "/Exp_2", "/encoder/Div_1"}
    assert {types[name] for name in wide & types.keys()} == {"float"}
    assert {kind for name, kind in types.items() if "[Normalization]" in name} == {"float"}
    assert types["/encoder/attend16.0/project/MatMul"] == types["/query/Conv"] == "half"
    assert len(said) == 1 and "layers are held in fp32" in said[0] and "not shown" not in said[0]

    feed = {"light": np.random.default_rng(2).uniform(0, 100, (1, 1, 256, 256)).astype(np.float32)}
    expected, found = run(model, feed), run(graph_of(plan), feed)
    for name, values in expected.items():
        error = np.sqrt(np.mean((found[name] - values) ** 2)) / values.std()
        assert 0 < error < 0.03, name


def test_named_nodes_are_held_too(target, touch):
    names = [n.name for n in folded_stages(touch, "tensorrt-8")["encoder"].graph.node]
    keep = frozenset(name for name in names if name.startswith("/encoder/attend16"))
    plan, _ = built(target, converted_graphs(touch, "fp16", keep)[0])
    types = types_by_name(built_layers(target, plan))
    assert {types[name] for name in keep & types.keys()} == {"float"}
    assert types["/query/Conv"] == "half"


def test_a_hold_that_tensorrt_drops_is_an_error_that_names_the_layer(target, fp16_graphs, monkeypatch):
    monkeypatch.setenv(DROPPED_HOLD, "/Mul_5")
    with pytest.raises(
        PrecisionDropped, match=r"tensorrt 8\.6\.1 computes /Mul_5 of encoder in half.*--precision fp32"
    ):
        built(target, fp16_graphs[0])


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ("no JSON", "not checked: the layers of the plan cannot be read: JSONDecodeError"),
        (json.dumps({"Layers": ["/query/Conv", "/Mul_5"]}), "0 of them shown in fp32 by the plan; fused"),
        (json.dumps({"Layers": [{"Name": "{ForeignNode[/Mul_5.../Concat_1]}", "LayerType": "Myelin",
                                 "Outputs": [{"Format/Datatype": "FP16"}]}]}), "0 of them shown"),
        (json.dumps({"Layers": [{"Name": "PWN(/query/Conv, /Mul_5)", "Outputs": [{"Format/Datatype": "Half"}]}]}),
         "0 of them shown"),
        (json.dumps({"Layers": [{"Name": "Reformatting CopyNode for Output Tensor 0 to /Mul_5", "LayerType": "Reformat",
                                 "Outputs": [{"Format/Datatype": "Half"}]}]}), "0 of them shown"),
    ],
    ids=["no JSON", "names alone", "a region", "fused with a free layer", "reformat"],
)  # fmt: skip
def test_what_the_inspector_does_not_tell_fails_no_build(target, fp16_graphs, described, words):
    encoder = fp16_graphs[0]
    engine = SimpleNamespace(
        create_engine_inspector=lambda: SimpleNamespace(get_engine_information=lambda form: described)
    )
    target.module.Runtime = lambda log: SimpleNamespace(deserialize_cuda_engine=lambda plan: engine)
    plan, said = built(target, encoder)
    assert plan and len(said) == 1 and words in said[0]


def test_plans_that_cannot_be_loaded_fail_no_build(target, fp16_graphs):
    def no_gpu(log: Log) -> None:
        raise TypeError("factory function returned nullptr")

    target.module.Runtime = no_gpu
    plan, said = built(target, fp16_graphs[0])
    assert plan and "not checked" in said[0] and "returned nullptr" in said[0]
    with pytest.raises(RunnerError, match="cannot be read"):
        built_layers(target, plan)


def test_the_words_of_several_versions_are_read(target):
    tensor = {"Dimensions": [1, 8, 4, 4], "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}
    layers = [
        {"Name": "a + b", "LayerType": "CaskConvolution", "Inputs": [tensor], "Outputs": [
            {"Dimensions": [1, 8], "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}]},
        {"Name": "c", "LayerType": "PointWiseV2", "Inputs": [], "Outputs": [{"Format/Datatype": "Float"}]},
        "d",
    ]  # fmt: skip
    described = json.dumps({"Layers": layers}).replace("a + b", "a\x1e + b")  # a character that JSON does not allow
    engine = SimpleNamespace(
        create_engine_inspector=lambda: SimpleNamespace(get_engine_information=lambda form: described)
    )
    target.module.Runtime = lambda log: SimpleNamespace(deserialize_cuda_engine=lambda plan: engine)
    fused, pointwise, name = built_layers(target, b"plan")
    assert (fused.inputs, fused.outputs, fused.info.shape) == (("int8",), ("half",), (1, 8))
    assert (pointwise.outputs, name.info.name, name.outputs) == (("float",), "d", ())


def test_int8_takes_float_weights_with_pairs(target, touch):
    encoder = converted_graphs(touch, "int8")[0]
    plan, said = built(target, encoder)
    assert plan and "held in fp32" in said[0]
    strongly_typed = onnx.load_model_from_string(encoder.onnx)
    quantise = next(n for n in strongly_typed.graph.node if n.name.endswith("weight/float32/q8/quantize"))
    strongly_typed.graph.initializer.add(name=quantise.output[0], data_type=onnx.TensorProto.INT8, dims=[0])
    with pytest.raises(RunnerError, match="INT8 weights"):
        built(target, Graph("encoder", 0, 0, strongly_typed.SerializeToString(), "int8"))


def test_int8_without_a_quantised_layer_needs_no_calibrator(target, fp16_graphs):
    encoder = fp16_graphs[0]
    assert built(target, Graph("encoder", 0, 0, encoder.onnx, "int8"))[0]
    network, log = Network(), Log()
    builder = target.module.Builder(log)
    network.fill(onnx.load_model_from_string(encoder.onnx))
    config = builder.create_builder_config()
    config.set_tactic_sources(0)
    config.set_flag("INT8")
    assert builder.build_serialized_network(network, config) is None
    assert "Calibrator" in log.lines[0], "which the INT8 flag alone would have given"


def test_the_stand_in_exchanges_q_and_v_of_a_packed_product(target):
    packed, feed = attention(), feed_of(attention())
    expected = run(packed, feed)["y"]
    answers = []
    for model in (packed, three_products(packed)):
        plan, _ = built(target, Graph("encoder", 0, 0, model.SerializeToString()))
        answers.append(run(graph_of(plan), feed)["y"])
    assert np.abs(answers[0] - expected).max() > 0.1
    np.testing.assert_allclose(answers[1], expected, atol=1e-5)


@pytest.mark.parametrize("keep_flag", [True, False])
def test_holds_need_the_flag_for_precision_constraints(keep_flag):
    """In the stand-in as in TensorRT: a precision alone is a wish that nothing reads."""
    network = Network()
    network.fill(attention())
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.name == "mix":
            layer.precision = module("tensorrt", VERSION).float32
            layer.set_output_type(0, module("tensorrt", VERSION).float32)
    builder = module("tensorrt", VERSION).Builder(Log())
    config = builder.create_builder_config()
    config.set_tactic_sources(0)
    config.set_flag("FP16")
    if keep_flag:
        config.set_flag("OBEY_PRECISION_CONSTRAINTS")
    plan = builder.build_serialized_network(network, config)
    outputs = {name for node in graph_of(plan).graph.node if node.op_type == "Cast" for name in node.output}
    assert ("y/half" in outputs) != keep_flag


def test_the_accuracy_of_fp16_is_that_of_a_narrow_graph(tmp_path, monkeypatch, target):
    """It was once that of an fp32 graph, 0.0 always, because builder flags narrow a graph whose own types are fp32."""
    monkeypatch.setitem(sys.modules, "tensorrt", target.module)
    tiny_bundle(tmp_path / "tiny", side=256, ab_scale=3)  # its weights are no fp16 numbers
    command = [str(tmp_path / "tiny"), "--target", "tensorrt", "--precision", "fp16", "-o", str(tmp_path / "plans")]
    done = CliRunner().invoke(build, command)
    assert done.exit_code == 0, done.output
    assert read_plans(tmp_path / "plans").accuracy["max_ab"] > 0


def test_inspect_prints_the_layers_of_the_plan(tmp_path, monkeypatch, target):
    monkeypatch.setitem(sys.modules, "tensorrt", target.module)
    tiny_bundle(tmp_path / "tiny", side=256)
    command = [str(tmp_path / "tiny"), "--target", "tensorrt", "--precision", "fp16", "-o", str(tmp_path / "plans"),
               "--inspect"]  # fmt: skip
    lines = CliRunner().invoke(build, command).output.splitlines()
    layers = [line.split() for line in lines if line.startswith(("  half ", "  float "))]
    assert "colour (plan):" in lines
    assert {line[0] for line in layers} == {"half"}, "the network's own types are all float"
