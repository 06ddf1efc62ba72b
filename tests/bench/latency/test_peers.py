"""Peers: those that agree are timed; all others are named with a reason, also those that crash or hang."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from livetint.bench.latency import peers
from livetint.bench.latency.peers import Peer, try_peer, workloads
from livetint.bench.latency.samples import Samples
from livetint.build_engine.planes_bundle import write_untrained
from livetint.engine.models import find_model

from ...needs import needs

LIGHT = np.tile(np.linspace(10, 90, 256, dtype=np.float32), (256, 1))


@pytest.fixture(scope="module")
def found():
    return peers.graphs(find_model("touch"), LIGHT, (2,), 1)


def wrong(graph, threads, folder):
    return lambda: {name: np.zeros((1, 1), np.float32) for name in graph.outputs}


def off(graph, threads, folder):
    right = peers.peer_loaders.onnxruntime(graph, threads, folder)
    return lambda: {name: 1.5 * array for name, array in right().items()}


def refuses(graph, threads, folder):
    raise RuntimeError("unsupported layer Foo\nand a long trace")


def crashes(graph, threads, folder):
    os._exit(9)


def hangs(graph, threads, folder):
    time.sleep(60)


def test_graphs_hold_their_inputs(found):
    assert [graph.name for graph in found] == ["encode", "touch_2"]
    assert found[1].feeds["positions"].shape == (1, 2, 2)
    assert peers.difference(found[0], peers.peer_loaders.onnxruntime(found[0], 1, Path())(), 1, Path()) == ""


@pytest.mark.parametrize("network", ["siggraph17", "siggraph17-global"])
def test_graphs_of_planes_hold_hints_or_global_hints(tmp_path, network):
    bundle = write_untrained(tmp_path / network, network)
    (graph,) = peers.graphs(bundle, LIGHT, (2,), 1)
    assert graph.name == "colour_2"
    shapes = {name: array.shape for name, array in graph.feeds.items()}
    if network == "siggraph17":
        assert shapes == {"planes": (1, 4, 256, 256)} and graph.feeds["planes"][0, 3].any(), "the mask of two hints"
    else:
        assert shapes["global"] == (1, 316)


@pytest.mark.parametrize(
    ("load", "limit_s", "reason"),
    [
        (wrong, 60, "another shape"),
        (off, 60, "is off by"),
        (refuses, 60, "unsupported layer Foo"),
        (crashes, 60, "its process ended with code 9"),
        (hangs, 0.2, "no answer within 0.2 seconds"),
    ],
)
def test_a_peer_that_fails_is_named_with_its_reason(found, tmp_path, load, limit_s, reason):
    reasons = try_peer(Peer("P", "numpy", load), found[:1], 1, tmp_path, limit_s)
    assert list(reasons) == ["encode"]
    assert reason in reasons["encode"] and "\n" not in reasons["encode"]


def test_a_missing_package_is_named_with_the_command_that_installs_it(found, tmp_path):
    reasons = try_peer(Peer("P", "no_such_package", wrong), found, 1, tmp_path)
    assert set(reasons) == {"encode", "touch_2"} and "pip install" in reasons["touch_2"]


@needs("torch")
def test_pytorch_runs_the_weights_of_the_bundle_next_to_onnxruntime(found, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", (peers.PEERS[1], Peer("bad", "numpy", refuses)))
    loads, left_out = workloads(found, 1, tmp_path)
    names = [load.name for load in loads]
    assert names == ["ONNX Runtime: encode", "ONNX Runtime: touch_2", "PyTorch: encode", "PyTorch: touch_2"]
    assert set(left_out) == {"bad"}
    assert all(load.run() for load in loads)


def test_the_table_gives_ratios_to_onnxruntime_and_the_lines_every_reason_once():
    samples = Samples({
        "ONNX Runtime: encode": [np.array([10.0, 10.0])] * 5,
        "P: encode": [np.array([20.0, 20.0])] * 5,
    })  # fmt: skip
    table = peers.as_table(samples, {"Q": {"encode": "no", "touch_16": "no"}, "R": {"encode": "x", "touch_16": "y"}})
    assert table["ratios"] == {"encode": {"P": {"ratio": 2.0, "low": 2.0, "high": 2.0}}}
    lines = peers.Peers.lines(table).splitlines()
    assert "left out: Q, encode, touch_16: no" in lines and len(lines) == 4
    assert peers.Peers.part({}) is None
