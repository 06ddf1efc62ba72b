"""Work counted from graphs with a known amount of it."""

from __future__ import annotations

import onnx
import pytest
from livetint.bench.latency.roofline import GPUS, Ceilings, Work, as_lines, count, modelled_ms, open_axes, row
from livetint.build_engine.networks import TOPOLOGIES
from livetint.build_engine.topology_onnx import random_weights, topology_model
from livetint.engine.errors import ModelFileError
from onnx import TensorProto, helper


def test_the_papers_network_has_the_known_cost():
    topology = TOPOLOGIES["siggraph17"]()
    found = count(topology_model(topology, random_weights(topology)).SerializeToString())
    assert found.macs == pytest.approx(75.75e9, rel=1e-3)
    assert found.weight_bytes == pytest.approx(34.19e6 * 4, rel=0.01)


def product():
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "hints", 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "hints", 5])
    w = helper.make_tensor("w", TensorProto.FLOAT, [8, 5], [0.0] * 40)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_an_open_axis_takes_the_length_it_is_given():
    assert open_axes(product()) == ["hints"]
    found = count(product(), {"hints": 16})
    assert found == Work(macs=16 * 8 * 5, weight_bytes=160, io_bytes=4 * 16 * (8 + 5))
    with pytest.raises(ModelFileError, match="open"):
        count(product())


def test_the_least_time_is_the_longer_of_arithmetic_and_memory():
    work = Work(macs=500_000_000, weight_bytes=0, io_bytes=1_000_000)
    assert Ceilings(gflops=100, gbytes=1000).min_ms(work) == pytest.approx(10)
    assert Ceilings(gflops=1e6, gbytes=0.1).min_ms(work) == pytest.approx(10)


def test_a_row_holds_the_share_reached_and_modelled_times():
    work = Work(macs=500_000_000, weight_bytes=0, io_bytes=1_000_000)
    found = row("touch", work, Ceilings(100, 1000), 40.0)
    assert found["reached"] == pytest.approx(0.25)
    assert set(found["modelled_ms"]) == set(GPUS)
    assert modelled_ms(work, 1.0, 1000) == pytest.approx(2)
    assert "25% of the roof" in as_lines({"rows": [found], "gflops": 100, "gbytes": 1000})
    assert row("touch", work, Ceilings(100, 1000), None)["reached"] is None
