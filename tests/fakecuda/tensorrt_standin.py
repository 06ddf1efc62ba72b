"""A stand-in for TensorRT: a plan is an ONNX graph with a header, and a context runs it in ONNX Runtime.

`module(target, version)` has that version's Python bindings as far as Livetint uses them; what the version lacks is
missing here too. A run goes into a stream of the stand-in driver as a host function, so it happens in stream order and
can be captured into a graph. As with the real TensorRT, a context must have run once before a capture.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import json
import os
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto

from .tensorrt_builder import (
    FLAGS,
    LAYERS,
    PROFILE,
    Config,
    DataType,
    LayerInformationFormat,
    LayerType,
    Network,
    Parser,
    Profile,
    ProfilingVerbosity,
    TacticSource,
    built_graph,
    in_order,
)

HEADER = b"stand-in plan "
SCRATCH_BYTES = 4096
SCRIBBLE = 0xEE
# Plans with open axes answer wrongly where this environment variable is set.
SPOIL_DYNAMIC = "FAKECUDA_SPOIL_DYNAMIC"
JIT = b"compiled for the stand-in"
_DTYPES: dict[int, type[np.generic]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.INT8: np.int8,
}
PRECISION_FLAGS = ("FP16", "INT8", "PREFER_PRECISION_CONSTRAINTS", "OBEY_PRECISION_CONSTRAINTS")
_HOST_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Severity(enum.IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)


class TensorIOMode(enum.Enum):
    INPUT, OUTPUT = range(2)


class Strategy(enum.Enum):
    STATIC, USER_MANAGED = range(2)


class Specialization(enum.Enum):
    LAZY, EAGER, NONE = range(3)


class ILogger:
    Severity = Severity

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    pass


def header(name: str) -> bytes:
    """The first bytes of a plan for TensorRT `name`, such as "tensorrt 10.3.0"."""
    return HEADER + name.encode() + b"\n"


class Runtime:
    def __init__(self, log: ILogger, shape: Shape) -> None:
        self._log, self._shape = log, shape

    def deserialize_cuda_engine(self, data: bytes) -> Any:
        start = header(self._shape.name)
        if not data.startswith(start):
            self._log.log(1, f"the plan was made by something else: {bytes(data[:40])!r}")
            return None
        return self._shape.engine(data[len(start) :], self._log)

    def get_engine_validity(self, data: bytes) -> tuple[Any, int]:
        return SimpleNamespace(__str__=lambda: "VALID"), 0


class Engine:
    """An ONNX graph and a session that runs it. Axes within the profile are open.

    A context that is made while another one has the profile gets none, as in TensorRT 8: it cannot be given shapes.
    """

    def __init__(self, graph: bytes, log: ILogger) -> None:
        model = onnx.load_model_from_string(graph)
        given = {value.name: value for value in model.graph.input}
        self.values = [*given.values(), *model.graph.output]
        self.inputs = list(given)
        self.outputs = [value.name for value in model.graph.output]
        self.num_io_tensors = len(self.values)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.log = log
        described = {p.key: p.value for p in model.metadata_props}
        self._described = described.get(LAYERS, "{}")
        # Input → its smallest, usual and largest shape.
        self.profile: dict[str, list[list[int]]] = json.loads(described.get(PROFILE, "{}"))
        self.flags: list[str] = json.loads(described.get(FLAGS, "[]"))
        self.profile_taken = False
        known = {n.name: n.shape for n in (*self.session.get_inputs(), *self.session.get_outputs())}
        self._shapes = {name: tuple(n if isinstance(n, int) else -1 for n in shape) for name, shape in known.items()}

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda form: self._described)

    def get_tensor_name(self, index: int) -> str:
        return self.values[index].name

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """-1 for an open axis."""
        return self._shapes[name]

    def get_tensor_dtype(self, name: str) -> int:
        return next(v.type.tensor_type.elem_type for v in self.values if v.name == name)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def output_shapes(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """The shapes of the outputs for inputs of these shapes."""
        zeros = {name: np.zeros(shapes[name], _DTYPES[self.get_tensor_dtype(name)]) for name in self.inputs}
        answers = zip(self.outputs, self.session.run(None, zeros), strict=True)
        return {name: np.asarray(value).shape for name, value in answers}


class Context:
    """Runs its engine's session on the tensors at the given addresses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._addresses: dict[str, int] = {}
        self._scratch: np.ndarray | None = None
        self._ran = False
        self.capturable = True
        self._has_profile = not engine.profile_taken
        engine.profile_taken = True
        self._shapes = {name: engine.get_tensor_shape(name) for name in (*engine.inputs, *engine.outputs)}
        self._calls: list[Any] = []

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Set the shape of an input with an open axis. The next run must not be captured."""
        limits = self._engine.profile.get(name)
        if limits is None or not self._has_profile:
            return self._refuse(f"there is no profile for {name}")
        smallest, _, largest = limits
        if len(shape) != len(smallest) or not all(map(in_order, smallest, shape, largest)):
            return self._refuse(f"{name} of shape {list(shape)} is not within the profile {smallest} to {largest}")
        self._shapes[name], self._ran = tuple(shape), False
        if not self._open_inputs():
            self._shapes |= self._engine.output_shapes(self._shapes)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in (*self._engine.inputs, *self._engine.outputs) or address % 256:
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        capturing = ctypes.c_int()
        self._driver.cuStreamIsCapturing(ctypes.c_void_p(stream), ctypes.byref(capturing))
        missing = [n for n in (*self._engine.inputs, *self._engine.outputs) if n not in self._addresses]
        if missing or self._scratch is None or (capturing.value and not self._ran):
            return self._refuse(f"not ready: no address for {missing or 'scratch'}, or never run before capture")
        if capturing.value and not self.capturable:
            return self._refuse("runs allocate memory, or wait for kernels, so they cannot be captured")
        if self._open_inputs():
            return self._refuse(f"not ready: no shape for {self._open_inputs()}")
        self._ran = True
        # What is captured keeps the shapes and addresses that it was captured with.
        call = _HOST_FUNCTION(functools.partial(self._run, self._arrays(), self._scratch))
        self._calls.append(call)
        return self._driver.cuLaunchHostFunc(ctypes.c_void_p(stream), call, None) == 0

    def _open_inputs(self) -> list[str]:
        return [name for name in self._engine.inputs if -1 in self._shapes[name]]

    def _refuse(self, reason: str) -> bool:
        self._engine.log.log(1, reason)
        return False

    def _place(self, address: int) -> None:
        self._scratch = _memory(address, (SCRATCH_BYTES,), np.dtype(np.uint8))

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            name: _memory(address, self._shapes[name], np.dtype(_DTYPES[self._engine.get_tensor_dtype(name)]))
            for name, address in self._addresses.items()
        }

    def _run(self, tensors: dict[str, np.ndarray], scratch: np.ndarray, _: int) -> int:
        scratch[:] = SCRIBBLE
        given = {name: tensors[name] for name in self._engine.inputs}
        moved = int(bool(self._engine.profile and os.environ.get(SPOIL_DYNAMIC)))
        factor = 2 if os.environ.get("FAKECUDA_SPOIL") else 1
        for name, value in zip(self._engine.outputs, self._engine.session.run(None, given), strict=True):
            tensors[name][...] = np.roll(np.asarray(value), moved, -1) * factor
        return 0


def _memory(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """An array over device memory of the stand-in, which is memory of this process."""
    size = int(np.prod(shape)) * dtype.itemsize
    return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(address)).view(dtype).reshape(shape)


class _AttributeMemory(Context):
    """Takes scratch memory as 8.6 and 10.x do."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "device_memory":
            self._place(value)
        else:
            super().__setattr__(name, value)


class _SizedMemory(Context):
    """Takes scratch memory as 11.x and RTX do."""

    def set_device_memory(self, address: int, size: int) -> None:
        if size >= SCRATCH_BYTES:
            self._place(address)


class _Engine8(Engine):
    device_memory_size = SCRATCH_BYTES

    def create_execution_context_without_device_memory(self) -> Context:
        return _AttributeMemory(self)


class _Engine10(Engine):
    device_memory_size = SCRATCH_BYTES

    def create_execution_context(self, strategy: Strategy = Strategy.STATIC) -> Context | None:
        return _AttributeMemory(self) if strategy is Strategy.USER_MANAGED else None


class _Engine11(Engine):
    device_memory_size_v2 = SCRATCH_BYTES

    def create_execution_context(self, strategy: Strategy = Strategy.STATIC) -> Context | None:
        return _SizedMemory(self) if strategy is Strategy.USER_MANAGED else None


class _RuntimeCache:
    def __init__(self) -> None:
        self.given = b""

    def deserialize(self, data: bytes) -> None:
        self.given = data

    def serialize(self) -> bytes:
        return JIT


class _RuntimeConfig:
    def __init__(self) -> None:
        self.strategy = Strategy.STATIC
        self.dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY

    def set_execution_context_allocation_strategy(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> _RuntimeCache:
        return _RuntimeCache()

    def set_runtime_cache(self, cache: _RuntimeCache) -> None:
        self.cache = cache


class _EngineRtx(Engine):
    device_memory_size_v2 = SCRATCH_BYTES

    def create_runtime_config(self) -> _RuntimeConfig:
        return _RuntimeConfig()

    def create_execution_context(self, config: _RuntimeConfig | None = None) -> Context | None:
        if config is None or config.strategy is not Strategy.USER_MANAGED:
            return None
        context = _SizedMemory(self)
        if self.profile:
            eager = config.dynamic_shapes_kernel_specialization_strategy is Specialization.EAGER
            context.capturable = eager and "REQUIRE_USER_ALLOCATION" in self.flags
        return context


class Shape:
    """One target and version: its name and its kind of engine."""

    def __init__(self, target: str, version: str) -> None:
        major = int(version.split(".")[0])
        self.name = f"{target} {version}"
        self.rtx, self.major = target == "tensorrt-rtx", major
        self.eight = not self.rtx and major < 10
        self.engine = _EngineRtx if self.rtx else _Engine8 if major < 10 else _Engine10 if major < 11 else _Engine11


class Builder:
    def __init__(self, log: ILogger, shape: Shape) -> None:
        self._log, self._shape = log, shape

    def create_network(self, flags: int) -> Network:
        return Network(flags)

    def create_builder_config(self) -> Config:
        return Config(self._shape.eight)

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        graph, problem = built_graph(network, config)
        if problem:
            self._log.log(1, problem)
            return None
        return header(self._shape.name) + graph


def module(target: str, version: str) -> ModuleType:
    """The stand-in as a module of one target and version."""
    made = ModuleType(target.replace("-", "_"))
    made.__spec__ = ModuleSpec(made.__name__, None)
    made.__dict__.update(contents(target, version))
    return made


def contents(target: str, version: str) -> dict[str, Any]:
    """The names in such a module and what they are."""
    shape = Shape(target, version)
    flags = ["TF32", "VERSION_COMPATIBLE"] + (list(PRECISION_FLAGS) if shape.major < 11 and not shape.rtx else [])
    flags += ["REQUIRE_USER_ALLOCATION"] if shape.rtx else []
    kinds = {"STRONGLY_TYPED": 1} if shape.major >= 10 or shape.rtx else {"EXPLICIT_BATCH": 0}
    held: dict[str, Any] = {
        "__version__": version, "ILogger": ILogger, "IProgressMonitor": IProgressMonitor, "TensorIOMode": TensorIOMode,
        "nptype": lambda dtype: _DTYPES[dtype], "Runtime": lambda log: Runtime(log, shape),
        "Builder": lambda log: Builder(log, shape), "OnnxParser": lambda network, log: Parser(network, shape.eight),
        "DataType": DataType, "float32": DataType.FLOAT, "LayerType": LayerType, "TacticSource": TacticSource,
        "ProfilingVerbosity": ProfilingVerbosity, "LayerInformationFormat": LayerInformationFormat,
        "BuilderFlag": SimpleNamespace(**{name: name for name in flags}),
        "MemoryPoolType": SimpleNamespace(WORKSPACE="workspace"),
        "NetworkDefinitionCreationFlag": SimpleNamespace(**kinds),
        "EngineInvalidityDiagnostics": SimpleNamespace(__members__={}),
    }  # fmt: skip
    if shape.major >= 10 or shape.rtx:
        held["ExecutionContextAllocationStrategy"] = Strategy
    if shape.rtx:
        held["DynamicShapesKernelSpecializationStrategy"] = Specialization
    return held
