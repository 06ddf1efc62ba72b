"""Version differences as a table, and one build path that honours each of them."""

from __future__ import annotations

import sys

import pytest
from livetint.build_engine.plans import Graph, PlanOptions, build_plan, check_options
from livetint.build_engine.tensorrt_versions import compute_capability, enum_name, load_target
from livetint.engine.errors import ConfigError, NoDevice, RunnerError
from livetint.engine.runners.tensorrt.versions import LoadedTarget, traits_of, version_of
from onnx import TensorProto, helper

from .fake_tensorrt import FakeTensorRT

# target, version: strongly typed, explicit batch, precision flags, external tactics, timing cache, progress, validity,
# hardware levels
TABLE = [
    ("tensorrt", (8, 6, 1), False, True, True, True, True, False, False, 1),
    ("tensorrt", (10, 3, 0), True, False, False, False, True, True, False, 1),
    ("tensorrt", (10, 13, 3), True, False, False, False, True, True, False, 2),
    ("tensorrt", (11, 4, 1), True, False, False, False, True, True, False, 2),
    ("tensorrt-rtx", (1, 7, 1), True, False, False, False, False, True, True, 0),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1][0]}.{row[1][1]}")
def test_the_table_of_versions(row):
    traits = traits_of(row[0], row[1])
    found = (
        traits.strongly_typed, traits.explicit_batch, traits.precision_flags, traits.external_tactics,
        traits.timing_cache, traits.progress_monitor, traits.engine_validity, len(traits.hardware_levels),
    )  # fmt: skip
    assert found == row[2:]
    assert traits.dialect == ("tensorrt" if row[2] else "tensorrt-8")


def test_versions_below_8_6_are_refused():
    with pytest.raises(NoDevice, match=r"8\.6 or newer"):
        traits_of("tensorrt", (8, 5, 3))
    with pytest.raises(ConfigError, match=r"8\.6 or newer"), pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tensorrt", FakeTensorRT("8.5.3"))
        load_target("tensorrt")


def fake(version: str, **kinds: bool) -> tuple[LoadedTarget, FakeTensorRT]:
    module = FakeTensorRT(version, **kinds)
    return LoadedTarget("tensorrt", module, version, traits_of("tensorrt", version_of(version))), module


def graph(precision: str = "fp32", quantised: bool = False) -> Graph:
    """One node, from a quantised tensor or not."""
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("QuantizeLinear", ["x", "scale"], ["integers"]),
        node("DequantizeLinear", ["integers", "scale"], ["back"]),
        node("Relu", ["back" if quantised else "x"], ["y"]),
    ]
    made = helper.make_graph(
        nodes if quantised else nodes[2:], "one",
        [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [1])],
    )  # fmt: skip
    return Graph("colour", 0, 0, helper.make_model(made).SerializeToString(), precision)


@pytest.mark.parametrize(
    ("precision", "quantised", "flags"),
    [("fp32", False, set()), ("fp16", False, {"FP16"}), ("int8", True, {"FP16", "INT8"}), ("int8", False, {"FP16"})],
)
def test_8_6_gets_explicit_batch_and_precision_flags(precision, quantised, flags):
    target, module = fake("8.6.1")
    found = build_plan(target, graph(precision, quantised), PlanOptions(precision), timing_cache=b"t")
    assert found == (b"plan", b"t+")
    assert module.network_flags == 1 << 0
    assert module.config.flags == flags, "TF32 is off: fp32 means fp32"
    assert ("tactic sources", 0b11000) in module.config.calls, "neither cuBLAS, cuBLASLt nor cuDNN"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_8_6_gets_no_flag_for_a_stage_that_stays_in_fp32(precision):
    target, module = fake("8.6.1")
    build_plan(target, graph("fp32"), PlanOptions(precision))
    assert not module.config.flags


@pytest.mark.parametrize("version", ["10.3.0.30", "10.13.3", "11.4.1"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_later_versions_take_their_types_from_the_file(version, precision):
    target, module = fake(version)
    steps: list[tuple[str, int, int]] = []
    build_plan(target, graph(precision), PlanOptions(precision), lambda *step: steps.append(step))
    assert module.network_flags == 1 << 1
    assert not module.config.flags
    assert not any(call[0] == "tactic sources" for call in module.config.calls)
    assert steps == [("build", 0, 2), ("build", 1, 2), ("build", 2, 2)], "outermost phase alone"


def test_options_reach_the_builder():
    target, module = fake("10.3.0")
    options = PlanOptions("fp16", 64, 4, "AMPERE_PLUS", True)
    build_plan(target, graph(), options)
    assert ("workspace", 64 << 20) in module.config.calls
    assert vars(module.config)["builder_optimization_level"] == 4
    assert vars(module.config)["hardware_compatibility_level"] == "ampere"
    assert module.config.flags == {"VERSION_COMPATIBLE"}


@pytest.mark.parametrize(
    ("name", "version", "options", "words"),
    [
        ("tensorrt", (10, 3), PlanOptions(compute_capabilities=("8.6",)), "is for tensorrt-rtx"),
        ("tensorrt", (10, 3), PlanOptions(hardware="SAME_COMPUTE_CAPABILITY"), "AMPERE_PLUS"),
        ("tensorrt-rtx", (1, 7), PlanOptions(hardware="AMPERE_PLUS"), "none"),
        ("tensorrt-rtx", (1, 7), PlanOptions(version_compatible=True), "not offered"),
        ("tensorrt-rtx", (1, 7), PlanOptions(compute_capabilities=("8.7",)), "Jetson"),
    ],
)
def test_options_a_version_lacks_are_refused(name, version, options, words):
    with pytest.raises(ConfigError, match=words):
        check_options(LoadedTarget(name, None, "x", traits_of(name, version)), options)


def test_what_tensorrt_says_is_in_the_error():
    with pytest.raises(RunnerError, match="unknown operator"):
        build_plan(fake("10.3.0", parses=False)[0], graph(), PlanOptions())
    with pytest.raises(RunnerError, match="something about the GPU"):
        build_plan(fake("10.3.0", builds=False)[0], graph(), PlanOptions())


def test_without_a_driver_the_error_says_what_is_missing():
    with pytest.raises(RunnerError, match=r"something about the GPU; full TensorRT needs an NVIDIA driver"):
        build_plan(fake("8.6.1", driver=False)[0], graph(), PlanOptions())


def test_capabilities_and_versions_are_read():
    assert enum_name("12.1") == "SM121"
    assert version_of("10.3.0.30") == (10, 3, 0)
    capability = compute_capability()
    assert capability is None or "." in capability


def test_a_missing_target_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ConfigError, match="python3-libnvinfer"):
        load_target("tensorrt")
