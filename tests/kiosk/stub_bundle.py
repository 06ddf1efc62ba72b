"""A bundle that colours without any training: hints spread as a blur, the rest is sepia. Small and quick."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from livetint.engine.colour.bins import CENTRES
from onnx import TensorProto, helper, numpy_helper

BLUR_PX = 21


def _constant(name: str, values: object) -> onnx.TensorProto:
    array = np.asarray(values)
    return numpy_helper.from_array(array.astype(np.int64 if array.dtype.kind == "i" else np.float32), name)


def _blur(source: str, target: str) -> list[onnx.NodeProto]:
    half = BLUR_PX // 2
    along = {"strides": [1, 1], "count_include_pad": 1}
    return [
        helper.make_node(
            "AveragePool", [source], [f"{target}_x"], kernel_shape=[1, BLUR_PX], pads=[0, half, 0, half], **along
        ),
        helper.make_node(
            "AveragePool", [f"{target}_x"], [target], kernel_shape=[BLUR_PX, 1], pads=[half, 0, half, 0], **along
        ),
    ]


def _nodes() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """planes [1, 4, 256, 256], global [1, 316] → ab: near hints theirs, else sepia; more with saturation."""
    sepia = np.array([8.0, 18.0]).reshape(1, 2, 1, 1)
    constants = [
        _constant("one", [1]), _constant("three", [3]), _constant("four", [4]), _constant("axis", [1]),
        _constant("scale", 110.0), _constant("few", 1e-4), _constant("sepia", sepia), _constant("first", [314]),
        _constant("last", [316]), _constant("unit", 1.0), _constant("corner", [1, 1, 1, 1]),
    ]  # fmt: skip
    make = helper.make_node
    nodes = [
        make("Slice", ["planes", "one", "three", "axis"], ["hint_ab"]),
        make("Slice", ["planes", "three", "four", "axis"], ["mask"]),
        make("Mul", ["hint_ab", "scale"], ["hint_lab"]),
        make("Mul", ["hint_lab", "mask"], ["weighted"]),
        *_blur("weighted", "sum"),
        *_blur("mask", "weight"),
        make("Mul", ["sepia", "few"], ["usual"]),
        make("Add", ["sum", "usual"], ["numerator"]),
        make("Add", ["weight", "few"], ["denominator"]),
        make("Div", ["numerator", "denominator"], ["spread"]),
        make("Slice", ["global", "first", "last", "axis"], ["asked"]),
        make("ReduceProd", ["asked"], ["wanted"], keepdims=0),
        make("Add", ["wanted", "unit"], ["gain"]),
        make("Reshape", ["gain", "corner"], ["gain_4d"]),
        make("Mul", ["spread", "gain_4d"], ["ab"]),
    ]
    return nodes, constants


def write_stub_bundle(folder: Path) -> Path:
    """Write the bundle into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes, constants = _nodes()
    temperature = 200.0
    weight = (2 / temperature * CENTRES)[:, :, None, None]
    bias = -(CENTRES**2).sum(1) / temperature
    likely = [
        *nodes,
        helper.make_node("AveragePool", ["ab"], ["quarter"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["quarter", "w", "bias"], ["logits"]),
    ]
    more = [*constants, _constant("w", weight), _constant("bias", bias)]
    files = {
        "colour.onnx": _model(nodes, constants, "ab", [1, 2, 256, 256]),
        "distribution.onnx": _model(likely, more, "logits", [1, len(CENTRES), 64, 64]),
    }
    lines = [
        'schema = 1\nname = "stub"\nnetwork = "stub"\nversion = "1"\nlicence = "none"\ndata = "none"\ntrained = false',
        "[input]\nworking_size = [256, 256]\nmax_hints = 128\nglobal = true",
        '[distribution]\nbins = "in-gamut-313"\ngives = "logits"',
        '[stages]\ncolour = "colour.onnx"\ndistribution = "distribution.onnx"\n[files]',
    ]
    for name, data in files.items():
        (folder / name).write_bytes(data)
        lines.append(f'"{name}" = "{hashlib.sha256(data).hexdigest()}"')
    (folder / "model.toml").write_text("\n".join(lines) + "\n")
    return folder


def _model(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], output: str, shape: list[int]) -> bytes:
    real = TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info("planes", real, [1, 4, 256, 256]),
        helper.make_tensor_value_info("global", real, [1, 316]),
    ]
    graph = helper.make_graph(
        nodes, "stub", inputs, [helper.make_tensor_value_info(output, real, shape)], initializer=constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
