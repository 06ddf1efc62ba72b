"""Parts of an ONNX graph, so that nothing is computed that nobody needs, and nothing twice.

A bundle may keep one file for two stages that share a trunk; each stage then loads its part alone, so that a swatch
does not pay for the colour decoder and a colour does not pay for the distribution head. And what a touch would
compute from the photograph's maps alone is done ahead, once per photograph.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx.utils

from ..bundle import Bundle
from ..errors import ModelFileError

# They cost nothing: worth no copy of what they show.
VIEWS = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"})


def stage_graph(bundle: Bundle, stage: str) -> bytes:
    """The ONNX graph of a stage alone: a file that serves two stages is reduced to the output of this one."""
    stages, data = bundle.manifest.stages, bundle.stage(stage)
    if list(stages.values()).count(stages[stage]) == 1:
        return data
    return extract_outputs(data, ["ab" if stage == "colour" else "logits"])


def extract_outputs(data: bytes, outputs: Sequence[str]) -> bytes:
    """The ONNX model in `data`, reduced to the nodes, inputs and initialisers that `outputs` depend on."""
    model = onnx.load_model_from_string(data)
    offered = [value.name for value in model.graph.output]
    missing = [name for name in outputs if name not in offered]
    if missing:
        raise ModelFileError(f"the graph has no output {', '.join(missing)}; it offers {', '.join(sorted(offered))}")
    return _cut(model, [name for name in offered if name in outputs])


def extract_tensor(data: bytes, name: str) -> bytes:
    """The ONNX model in `data`, reduced to what the float tensor `name` inside it depends on; that is its output."""
    model = onnx.load_model_from_string(data)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return _cut(model, [name])


def split_ahead(data: bytes, late: Sequence[str]) -> tuple[bytes | None, bytes]:
    """A model in two: what can be computed before the inputs `late` are known, and the rest, which takes the first
    part's outputs as inputs of their names. None and the whole model where there is nothing to compute ahead."""
    model = onnx.load_model_from_string(data)
    ahead = _computed_ahead(model.graph, frozenset(late))
    rest = [node for node in model.graph.node if ahead.isdisjoint(node.output)]
    between = sorted(ahead.intersection(name for node in rest for name in node.input))
    if not between:
        return None, data
    known = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    if not known.keys() >= set(between):
        return None, data
    del model.graph.value_info[:]
    model.graph.value_info.extend(known[name] for name in between)
    return _cut(model, between), _cut(model, [value.name for value in model.graph.output], between)


def _computed_ahead(graph: onnx.GraphProto, late: frozenset[str]) -> set[str]:
    """What depends on inputs but on none of `late`, views of inputs left out. Constants are everybody's."""
    shown = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer} - late
    ahead, after = set[str](), set(late)
    for node in graph.node:
        branches = any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)
        if branches or not after.isdisjoint(node.input):
            after.update(node.output)
        elif not ahead.isdisjoint(node.input):
            ahead.update(node.output)
        elif not shown.isdisjoint(node.input):
            (shown if node.op_type in VIEWS else ahead).update(node.output)
    return ahead


def _cut(model: onnx.ModelProto, outputs: Sequence[str], given: Sequence[str] = ()) -> bytes:
    """`model` reduced to these outputs and what they depend on. given: tensors that become inputs.

    Unlike `onnx.utils.extract_model`, inputs that nothing depends on any more are left out.
    """
    inputs = [*(value.name for value in model.graph.input), *given]
    try:
        part = onnx.utils.Extractor(model).extract_model(inputs, list(outputs))
    except ValueError as error:
        raise ModelFileError(f"the graph cannot be taken apart: {error}; export the model again") from error
    used = {name for node in part.graph.node for name in node.input}
    kept = [value for value in part.graph.input if value.name in used]
    del part.graph.input[:]
    part.graph.input.extend(kept)
    return part.SerializeToString()
