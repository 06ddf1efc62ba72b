"""The search for the layer at fault: found in few builds, in any place, and a fault that hides is named as a block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from livetint.build_engine.apply_precision import folded_stages
from livetint.build_engine.compare_layers import _error, _Search
from livetint.engine.models import find_model


class Gpu:
    """Tensors that depend on the node at fault are wrong. hides: while a tensor of these nodes is marked, none is."""

    def __init__(self, search: _Search, fault: str, hides: Sequence[str] = ()) -> None:
        self.search, self.fault, self.hides = search, fault, hides
        self.outputs = [value.name for value in search.model.graph.output]
        self.marks: list[int] = []

    def __call__(self, tensors: Sequence[str]) -> dict[str, float]:
        self.marks.append(len(tensors))
        producers = self.search.producers
        hidden = any(producers[name].name in self.hides for name in tensors)
        found = {}
        for name in (*self.outputs, *tensors):
            depends = self.fault in {producers[n].name for n in (*self.search._ancestors([name]), name)}
            found[name] = 1.0 if depends and not hidden else 0.001
        return found


@pytest.fixture
def search() -> _Search:
    return _Search(folded_stages(find_model("touch"), "onnxruntime")["encoder"], 0.01)


@pytest.mark.parametrize(
    "fault",
    ["/encoder/backbone/stem/Conv", "/encoder/attend16.1/Softmax", "/encoder/attend16.0/MatMul", "/encoder/detail/Conv",
     "/mood/Conv", "/encoder/backbone/blocks.8/Add"],
)  # fmt: skip
def test_the_node_at_fault_is_named_in_few_builds(search: _Search, fault: str):
    gpu = Gpu(search, fault)
    found = search.run(gpu)
    assert found.wrong is not None and found.wrong.node == fault and found.block == [fault]
    assert found.builds == len(gpu.marks) <= 14 and max(gpu.marks) <= 4
    assert [row.tensor for row in found.measured] == sorted(search.errors, key=search.order.__getitem__)


def test_a_fault_that_hides_is_named_as_a_block(search: _Search):
    inside = [n.name for n in search.model.graph.node if n.name.startswith("/encoder/attend16.0/")][:14]
    found = search.run(Gpu(search, "/encoder/attend16.0/MatMul", hides=inside))
    assert found.wrong is not None and "/encoder/attend16.0/MatMul" in found.block and 1 < len(found.block) < 120


def test_without_a_fault_there_is_one_build(search: _Search):
    found = search.run(Gpu(search, "no node"))
    assert (found.wrong, found.block, found.builds) == (None, [], 1)


def test_an_error_is_measured_by_the_deviation_of_the_tensor():
    right = [np.array([0.0, 2.0]), np.array([0.0, 2.0])]
    assert _error(right, [values + 0.5 for values in right]) == pytest.approx(0.5)
    assert _error(right, [values * np.nan for values in right]) == np.inf
    assert _error([np.array([4.0])], [np.array([5.0])]) == pytest.approx(0.25)
