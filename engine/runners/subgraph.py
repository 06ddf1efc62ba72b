"""Cutting ONNX graphs into the parts that a stage needs, and that a touch needs.

A bundle may have one file for two stages with a common trunk. Each stage loads its part alone, so a suggestion does
not run the colour decoder, and a colour does not run the distribution head. What a stage computes from the
photograph's maps alone is split off, to be computed once per photograph.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx
import onnx.utils

from ..bundle import Bundle
from ..errors import ModelFileError

# Views cost nothing, so they are not precomputed.
VIEWS = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"})


def stage_graph(bundle: Bundle, stage: str, also: Collection[str] = ()) -> bytes:
    """The ONNX graph of a stage alone.

    A file for two stages is reduced to the output of this one, an encoder to the outputs that other stages read. also:
    further outputs of an encoder to keep, where it has them.
    """
    stages, data = bundle.manifest.stages, bundle.stage(stage)
    if stage == "encoder":
        return _without_unread_outputs(data, [bundle.stage(name) for name in stages if name != "encoder"], also)
    if list(stages.values()).count(stages[stage]) == 1:
        return data
    return extract_outputs(data, ["ab" if stage == "colour" else "logits"])


def _without_unread_outputs(data: bytes, readers: Sequence[bytes], also: Collection[str]) -> bytes:
    """The ONNX model in `data` without the outputs that are inputs of none of `readers`, and what they alone need.

    also: outputs to keep all the same.
    """
    model = onnx.load_model_from_string(data)
    read = {value.name for reader in readers for value in onnx.load_model_from_string(reader).graph.input}
    offered = [value.name for value in model.graph.output]
    wanted = [name for name in offered if name in read or name in also]
    return data if wanted == offered else _cut(model, wanted)


def extract_outputs(data: bytes, outputs: Sequence[str]) -> bytes:
    """The ONNX model in `data`, reduced to the nodes, inputs and initialisers that `outputs` depend on."""
    model = onnx.load_model_from_string(data)
    offered = [value.name for value in model.graph.output]
    missing = [name for name in outputs if name not in offered]
    if missing:
        raise ModelFileError(f"the graph has no output {', '.join(missing)}; it offers {', '.join(sorted(offered))}")
    return _cut(model, [name for name in offered if name in outputs])


def extract_tensor(data: bytes, name: str) -> bytes:
    """The ONNX model in `data`, reduced to the inner float tensor `name`, its new output, and what it depends on."""
    model = onnx.load_model_from_string(data)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return _cut(model, [name])


def split_precomputed(data: bytes, touch_inputs: Sequence[str]) -> tuple[bytes | None, bytes]:
    """An ONNX model in two parts: what does not depend on `touch_inputs`, and the rest.

    The rest takes the outputs of the first part as inputs of the same names. Returns None and the whole model where
    nothing can be precomputed.
    """
    model = onnx.load_model_from_string(data)
    once = _independent(model.graph, frozenset(touch_inputs))
    rest = [node for node in model.graph.node if once.isdisjoint(node.output)]
    between = sorted(once.intersection(name for node in rest for name in node.input))
    if not between:
        return None, data
    known = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    if not known.keys() >= set(between):
        return None, data
    del model.graph.value_info[:]
    model.graph.value_info.extend(known[name] for name in between)
    return _cut(model, between), _cut(model, [value.name for value in model.graph.output], between)


def _independent(graph: onnx.GraphProto, touch_inputs: frozenset[str]) -> set[str]:
    """Names of computed tensors that depend on inputs, but on none of `touch_inputs`.

    Views of inputs and constants are left out.
    """
    views = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer} - touch_inputs
    independent, dependent = set[str](), set(touch_inputs)
    for node in graph.node:
        has_branches = any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)
        if has_branches or not dependent.isdisjoint(node.input):
            dependent.update(node.output)
        elif not independent.isdisjoint(node.input):
            independent.update(node.output)
        elif not views.isdisjoint(node.input):
            (views if node.op_type in VIEWS else independent).update(node.output)
    return independent


def _cut(model: onnx.ModelProto, outputs: Sequence[str], given: Sequence[str] = ()) -> bytes:
    """`model` reduced to these outputs and what they depend on. given: inner tensors that become inputs.

    Unlike `onnx.utils.extract_model`, it drops inputs that are no longer used.
    """
    inputs = [*(value.name for value in model.graph.input), *given]
    try:
        part = onnx.utils.Extractor(model).extract_model(inputs, list(outputs))
    except ValueError as error:
        raise ModelFileError(f"the graph cannot be cut: {error}; export the model again") from error
    used = {name for node in part.graph.node for name in node.input}
    kept = [value for value in part.graph.input if value.name in used]
    del part.graph.input[:]
    part.graph.input.extend(kept)
    return part.SerializeToString()
