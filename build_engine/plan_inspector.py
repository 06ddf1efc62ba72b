"""The layers of a built plan as TensorRT's engine inspector describes them: names, kinds, element types, shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.errors import RunnerError
from ..engine.runners.tensorrt.plans import collecting_log, typed
from ..engine.runners.tensorrt.versions import LoadedTarget

# TensorRT's words for element types, in any case. 8.6 hides them in sentences: "Channel major FP16 format where …".
ELEMENT_TYPES = {
    "fp32": "float", "float": "float", "fp16": "half", "half": "half", "bf16": "bf16", "bfloat16": "bf16",
    "int8": "int8", "fp8": "fp8", "int32": "int32", "int64": "int64", "bool": "bool", "uint8": "uint8",
}  # fmt: skip
NARROW = frozenset({"half", "bf16", "int8", "fp8"})
_TYPE_WORD = re.compile(r"\b(" + "|".join(ELEMENT_TYPES) + r")\b", re.IGNORECASE)


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a network or of a plan: kind, name, element type and shape of its first output."""

    kind: str
    name: str
    precision: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class BuiltLayer:
    """One layer of a built plan. It may compute several layers of the network: then its name contains all of theirs.

    inputs, outputs: element types ("float", "half", "int8", …; "" where TensorRT gives none).
    """

    info: LayerInfo
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def built_layers(target: LoadedTarget, plan: bytes) -> list[BuiltLayer]:
    """The layers of a plan. Raises RunnerError, with the reason, where the plan or the description cannot be read.

    The plan is loaded for it, so it must be one for the GPU of this machine.
    """
    try:
        described = _description(target, plan)
        return [_layer(entry) for entry in json.loads(described, strict=False)["Layers"] if entry]
    except RunnerError:
        raise
    except Exception as error:  # bindings and descriptions differ between versions; a build must not depend on them
        reason = next(iter(str(error).splitlines()), "")
        raise RunnerError(f"the layers of the plan cannot be read: {type(error).__name__}: {reason}") from error


def _description(target: LoadedTarget, plan: bytes) -> str:
    trt, log = typed(target.module), collecting_log(target.module)
    runtime = trt.Runtime(log)  # must outlive the engine
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise RunnerError(f"the layers of the plan cannot be read: {log.last()}")
    inspector = engine.create_engine_inspector()
    return inspector.get_engine_information(trt.LayerInformationFormat.JSON)


def _layer(entry: str | Mapping[str, Any]) -> BuiltLayer:
    """One entry of "Layers". Without detailed profiling it is a name alone."""
    if isinstance(entry, str):
        return BuiltLayer(LayerInfo("", entry, "", ()), (), ())
    inputs, outputs = entry.get("Inputs", []), entry.get("Outputs", [])
    types = [tuple(_element_type(tensor) for tensor in side) for side in (inputs, outputs)]
    shape = tuple(outputs[0].get("Dimensions", ())) if outputs else ()
    info = LayerInfo(str(entry.get("LayerType", "")), str(entry.get("Name", "")), next(iter(types[1]), ""), shape)
    return BuiltLayer(info, *types)


def _element_type(tensor: Mapping[str, Any]) -> str:
    found = _TYPE_WORD.search(str(tensor.get("Format/Datatype", "")))
    return ELEMENT_TYPES[found.group(1).lower()] if found else ""
