"""Layers that TensorRT 8 must compute in fp32 though its builder flags allow fp16 and INT8.

Those flags narrow every layer that is faster narrow. A strongly typed graph says per node what is fp16; here the same
nodes (precision.half_nodes) become precision constraints on the layers that the parser made from them. After the build
the engine inspector shows what came of them.

PREFER_PRECISION_CONSTRAINTS, not OBEY: with OBEY a build of minutes ends with TensorRT's own error wherever it fuses a
held layer into a region for which it has no such kernel. With PREFER there is a plan, and `check_holds` says which
layer is narrow in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx

from ..engine.errors import RunnerError
from ..engine.runners.tensorrt.plans import typed
from ..engine.runners.tensorrt.versions import LoadedTarget
from .plan_inspector import NARROW, BuiltLayer, built_layers
from .precision import half_nodes

# Kinds of layers that take no precision constraint.
NEVER_HELD = frozenset({"CONSTANT", "SHAPE", "QUANTIZE", "DEQUANTIZE", "CAST"})
# Layers that only convert between formats, and layers whose inside the inspector does not show.
REFORMATS, OPAQUE = ("Reformat", "NoOp"), ("Myelin", "ForeignNode")
MAX_NAMES = 5

Say = Callable[[str], None]


class PrecisionDropped(RunnerError):
    """A built plan computes a layer in fp16 or INT8 that must stay in fp32."""


@dataclass(frozen=True)
class Holds:
    """Names of a network's layers: those that are held in fp32, and all others that compute something."""

    held: frozenset[str]
    free: frozenset[str]


def hold_fp32(target: LoadedTarget, config: Any, network: Any, model: onnx.ModelProto, keep: frozenset[str]) -> Holds:
    """Constrain the layers of all nodes to fp32 that are not in half_nodes(model, keep).

    Not constrained: constants and what is computed from them alone, shapes, quantisation, and outputs that are no
    floats.
    """
    trt = typed(target.module)
    half = half_nodes(model, keep)
    wide = {index for index in range(len(model.graph.node)) if index not in half}
    held, free = set(), set()
    for layer, node in layers_with_nodes(network, model):
        if _kind(layer) in NEVER_HELD:
            continue
        outputs = [layer.get_output(i) for i in range(layer.num_outputs)]
        if node not in wide or not outputs or any(output.dtype != trt.float32 for output in outputs):
            free.add(layer.name)
            continue
        layer.precision = trt.float32
        for index in range(layer.num_outputs):
            layer.set_output_type(index, trt.float32)
        held.add(layer.name)
    if held:
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    return Holds(frozenset(held), frozenset(free))


def layers_with_nodes(network: Any, model: onnx.ModelProto) -> list[tuple[Any, int | None]]:
    """Every layer that depends on the network's inputs, with the index of the ONNX node that it was made from.

    The parser makes the layers of one node in a row, and the last one writes the node's output. Only some of them have
    the node's name: none in the case of LayerNormalization. None: no node was found.
    """
    node_of = {name: index for index, node in enumerate(model.graph.node) for name in node.output if name}
    node_of_name = {node.name: index for index, node in enumerate(model.graph.node) if node.name}
    found: list[tuple[Any, int | None]] = []
    constant: set[str] = set()
    waiting: list[Any] = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        outputs = [layer.get_output(i).name for i in range(layer.num_outputs)]
        inputs = [tensor.name for tensor in map(layer.get_input, range(layer.num_inputs)) if tensor is not None]
        if _kind(layer) == "CONSTANT" or (inputs and constant.issuperset(inputs)):
            constant.update(outputs)
            continue
        waiting.append(layer)
        node = next((node_of[name] for name in outputs if name in node_of), None)
        if node is not None:
            found += [(each, node) for each in waiting]
            waiting = []
    return found + [(each, node_of_name.get(each.name)) for each in waiting]


def check_holds(target: LoadedTarget, title: str, plan: bytes, holds: Holds, say: Say) -> None:
    """Look in a built plan whether the held layers are in fp32, and report it in one line through say(line).

    Raises PrecisionDropped, which names the layer, if one is not. Where the plan cannot be read, the line says so.
    """
    if not holds.held:
        return
    count = f"{title}: {len(holds.held)} layers are held in fp32"
    try:
        layers = built_layers(target, plan)
    except RunnerError as error:
        say(f"{count}; not checked: {error}")
        return
    kept, dropped = _verdicts(layers, holds)
    if dropped:
        name, kind = next(iter(dropped.items()))
        raise PrecisionDropped(
            f"{target.name} {target.version} computes {name} of {title} in {kind}, and {len(dropped) - 1} more layers "
            "that must stay in fp32; build with --precision fp32"
        )
    unclear = sorted(holds.held - kept)
    rest = f"; fused with others or left out, so not shown: {_some(unclear)}" if unclear else ""
    say(f"{count}, {len(kept)} of them shown in fp32 by the plan{rest}")


def _verdicts(layers: list[BuiltLayer], holds: Holds) -> tuple[set[str], dict[str, str]]:
    """The held layers that the plan shows in fp32, and those it shows narrow, with the element type."""
    kept: set[str] = set()
    dropped: dict[str, str] = {}
    for layer in layers:
        if layer.info.kind in REFORMATS or any(word in layer.info.kind + layer.info.name for word in OPAQUE):
            continue
        held = _names_in(layer.info.name, holds.held)
        if not held or not layer.outputs or _names_in(layer.info.name, holds.free):
            continue  # a fused layer may be narrow for the sake of a layer that is free
        narrow = next((kind for kind in layer.outputs if kind in NARROW), None)
        if narrow:
            dropped.update(dict.fromkeys(sorted(held), narrow))
        elif "float" in layer.outputs and NARROW.isdisjoint(layer.inputs):
            kept |= held
    return kept - dropped.keys(), dropped


def _names_in(text: str, names: frozenset[str]) -> set[str]:
    """The names that stand in the name of a fused layer: "a + b", "PWN(a, b)", "a || b"."""
    return {n for n in names if n in text and re.search(rf"(?<![\w/.\-]){re.escape(n)}(?![\w/\-])", text)}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _kind(layer: Any) -> str:
    return str(layer.type).rsplit(".", 1)[-1]
