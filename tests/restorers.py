"""Restorers for tests: small graphs with a known answer, put into a bundle in memory."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
from livetint.engine.bundle import Bundle
from livetint.engine.files import sha256_of
from onnx import TensorProto, helper, numpy_helper

FILE = "restorer.onnx"


def lighter(by: float, side: int = 256, name: str = "L") -> bytes:
    """A graph whose answer is L + by, for L float32 [1, 1, side, side]."""
    shape = [1, 1, side, side]
    graph = helper.make_graph(
        [helper.make_node("Add", [name, "by"], ["restored"])],
        "restorer",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(by, np.float32), "by")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def with_restorer(bundle: Bundle, data: bytes) -> Bundle:
    """The bundle with this file as its restorer."""
    digests = {**bundle.manifest.files, FILE: sha256_of(data)}
    manifest = msgspec.structs.replace(bundle.manifest, restorer=FILE, files=digests)
    return Bundle(bundle.folder, manifest, {**bundle.files, FILE: data})


def without_restorer(bundle: Bundle) -> Bundle:
    """The bundle as it would be without its restorer."""
    files = {name: data for name, data in bundle.files.items() if name != bundle.manifest.restorer}
    digests = {name: bundle.manifest.files[name] for name in files}
    return Bundle(bundle.folder, msgspec.structs.replace(bundle.manifest, restorer="", files=digests), files)
