"""A small convolutional network as a bundle of planes, to test precisions and plans in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from livetint.engine.bundle import Bundle, InputTable, Manifest, write_bundle
from onnx import TensorProto, helper, numpy_helper

SIDE = 64


def small_graph(seed: int = 3) -> bytes:
    """planes [1, 4, 64, 64] → ab [1, 2, 64, 64]: two convolutions, a deconvolution, a head of 1 × 1; × 110.

    The second convolution's weights are stored as fp16 and cast, as `touch` stores its own.
    """
    rng = np.random.default_rng(seed)

    def weights(name: str, *shape: int, kind: type = np.float32):
        fan = np.prod(shape[1:])
        return numpy_helper.from_array((rng.normal(size=shape) * np.sqrt(2 / fan)).astype(kind), name)

    initialisers = [
        weights("first.weight", 8, 4, 3, 3), weights("first.bias", 8),
        weights("second.weight", 16, 8, 3, 3, kind=np.float16), weights("up.weight", 16, 8, 4, 4),
        weights("head.weight", 2, 8, 1, 1),
        numpy_helper.from_array(np.array([110.0], np.float32), "scale"),
    ]  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Cast", ["second.weight"], ["second.weight/float32"], "cast", to=TensorProto.FLOAT),
        node("Conv", ["planes", "first.weight", "first.bias"], ["a"], "first", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], "relu"),
        node("Conv", ["b", "second.weight/float32"], ["c"], "second", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c"], ["d"], "relu2"),
        node("ConvTranspose", ["d", "up.weight"], ["e"], "up", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("LeakyRelu", ["e"], ["f"], "leaky", alpha=0.2),
        node("Conv", ["f", "head.weight"], ["g"], "head"),
        node("Tanh", ["g"], ["h"], "tanh"),
        node("Mul", ["h", "scale"], ["ab"], "times"),
    ]
    plane = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "small", [plane("planes", TensorProto.FLOAT, [1, 4, SIDE, SIDE])],
        [plane("ab", TensorProto.FLOAT, [1, 2, SIDE, SIDE])], initialisers,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def small_bundle(folder: Path, seed: int = 3, trained: bool = False) -> Bundle:
    """The small network as a bundle on disk."""
    manifest = Manifest(
        name="small", network="siggraph17", version="1", licence="none", data="random", trained=trained,
        input=InputTable(working_size=(SIDE, SIDE)), stages={"colour": "colour.onnx"},
    )  # fmt: skip
    return write_bundle(folder, manifest, {"colour.onnx": small_graph(seed)})


def small_planes(number: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Inputs of the small network."""
    rng = np.random.default_rng(seed)
    return [{"planes": rng.uniform(-0.5, 1, (1, 4, SIDE, SIDE)).astype(np.float32)} for _ in range(number)]
