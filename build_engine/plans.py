"""From an ONNX graph to a TensorRT plan: the same steps for every target, steered by its row of the version table."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import onnx

from ..engine.errors import ConfigError, RunnerError
from ..engine.runners.tensorrt.plans import collecting_log, typed
from ..engine.runners.tensorrt.versions import LoadedTarget
from .fp32_holds import Holds, check_holds, hold_fp32
from .hint_profile import add_hint_profile
from .plan_inspector import LayerInfo
from .tensorrt_versions import check_capabilities, enum_name

if TYPE_CHECKING:
    import tensorrt

Progress = Callable[[str, int, int], None]  # phase, steps done, steps in all
Say = Callable[[str], None]
# Kernels of TensorRT's own. The others are from cuBLAS and cuDNN, which need not be installed.
OWN_TACTICS = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")
# A builder of TensorRT's serves one thread at a time.
_one_build = threading.Lock()


class PlanOptions(msgspec.Struct, frozen=True):
    """Options of a build. All of them are part of the cache key.

    precision: "fp32", "fp16" or "int8", of the stages that are converted. workspace_mib: limit of a layer's scratch
    memory. optimisation: builder level 0…5, None for TensorRT's default. hardware: a hardware compatibility level, ""
    for this GPU only.
    version_compatible: the plan runs in later versions too. compute_capabilities: GPUs that a target which builds for
    other machines (TensorRT-RTX) builds for; empty for all that it knows.
    """

    precision: str = "fp16"
    workspace_mib: int = 1024
    optimisation: int | None = None
    hardware: str = ""
    version_compatible: bool = False
    compute_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """An ONNX graph from which one plan is built.

    hints, points: its axes, 0 if it has none. dynamic: the hint axis is open; the plan takes any number of hints from 1
    to `hints`. All other shapes are static. precision: of this stage, which need not be that of the bundle.
    keep_fp32: names of nodes that stay in fp32 beside those that always do (precision.half_nodes).
    """

    stage: str
    hints: int
    points: int
    onnx: bytes
    precision: str = "fp32"
    keep_fp32: frozenset[str] = frozenset()
    dynamic: bool = False

    @property
    def title(self) -> str:
        return f"{self.stage}-{self.hints}" if self.hints and not self.dynamic else self.stage


def check_options(target: LoadedTarget, options: PlanOptions) -> None:
    """Raise ConfigError for options that this target and version do not have."""
    traits, found = target.traits, f"{target.name} {target.version}"
    check_capabilities(target, options.compute_capabilities)
    if options.hardware and options.hardware not in traits.hardware_levels:
        offered = ", ".join(traits.hardware_levels) or "none"
        raise ConfigError(f"hardware compatibility {options.hardware} is not offered by {found}; it has: {offered}")
    if options.version_compatible and not traits.version_compatible:
        raise ConfigError(f"version-compatible plans are not offered by {found}")


def build_plan(
    target: LoadedTarget,
    graph: Graph,
    options: PlanOptions,
    progress: Progress | None = None,
    timing_cache: bytes = b"",
    say: Say = lambda line: None,
) -> tuple[bytes, bytes]:
    """Build one plan: the plan, and the timing cache (empty for RTX).

    The graph's own precision counts, not that of `options`, which is the bundle's. say(line) receives what became of
    the layers that are held in fp32 (TensorRT 8). Raises RunnerError with TensorRT's own words when parsing or building
    fails, and PrecisionDropped when such a layer is not in fp32.
    """
    check_options(target, options)
    with _one_build:
        return _build_plan(target, graph, options, progress, timing_cache, say)


def _build_plan(
    target: LoadedTarget, graph: Graph, options: PlanOptions, progress: Progress | None, timing_cache: bytes, say: Say
) -> tuple[bytes, bytes]:
    builder, log = builder_of(target)
    network, parser = parsed_network(target, builder, graph.onnx, log)
    config = builder.create_builder_config()
    if graph.dynamic:
        add_hint_profile(target, builder, network, config, graph.hints)
    cache = _configure(target, config, options, timing_cache)
    holds = _narrow(target, config, network, graph) if target.traits.precision_flags else None
    if progress is not None and target.traits.progress_monitor:
        config.progress_monitor = _monitor(target, progress)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RunnerError(f"{target.name} {target.version} could not build the plan: {log.last()}")
    timings = bytes(memoryview(cache.serialize())) if cache is not None else b""
    del parser  # it owns the weights, so it must outlive the build
    data = bytes(memoryview(plan))
    if holds is not None:
        check_holds(target, graph.title, data, holds, say)
    return data, timings


def network_layers(target: LoadedTarget, graph: bytes) -> list[LayerInfo]:
    """The layers TensorRT sees in a graph, with their types; needs no GPU."""
    builder, log = builder_of(target)
    network, parser = parsed_network(target, builder, graph, log)
    found = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        output = layer.get_output(0) if layer.num_outputs else None
        shape = output.shape[:] if output is not None else ()
        kind = str(output.dtype).rsplit(".", 1)[-1].lower() if output is not None else ""
        found.append(LayerInfo(str(layer.type).rsplit(".", 1)[-1], layer.name, kind, shape))
    del parser
    return found


def plan_validity(target: LoadedTarget, plan: bytes) -> str | None:
    """TensorRT-RTX's judgement of a plan that is not loaded: "valid", "suboptimal" or "invalid: reasons".

    None for targets that cannot judge plans. Without a driver the answer is "invalid: CUDA_ERROR".
    """
    if not target.traits.engine_validity:
        return None
    trt = target.module
    runtime = trt.Runtime(collecting_log(target.module))
    validity, reasons = runtime.get_engine_validity(plan)
    names = [name for name, value in trt.EngineInvalidityDiagnostics.__members__.items() if int(reasons) & int(value)]
    answer = str(validity).rsplit(".", 1)[-1].lower()
    return f"{answer}: {', '.join(names)}" if names else answer


def parsed_network(
    target: LoadedTarget, builder: tensorrt.Builder, graph: bytes, log: Any
) -> tuple[tensorrt.INetworkDefinition, tensorrt.OnnxParser]:
    """Parse a graph: the network, and the parser, which must live as long as the network."""
    trt = typed(target.module)
    flags, kinds = 0, trt.NetworkDefinitionCreationFlag
    if target.traits.strongly_typed:
        flags |= 1 << int(kinds.STRONGLY_TYPED)
    if target.traits.explicit_batch:
        flags |= 1 << int(kinds.EXPLICIT_BATCH)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        words = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise RunnerError(f"{target.name} {target.version} cannot read the graph: {words or log.last()}")
    return network, parser


def builder_of(target: LoadedTarget) -> tuple[tensorrt.Builder, Any]:
    """The builder of this process, with its log, which is empty. Making one takes TensorRT 8.6 sixteen seconds."""
    builder, log = _builder(target.module)
    log.lines = []
    return builder, log


@functools.cache
def _builder(module: Any) -> tuple[tensorrt.Builder, Any]:
    log = collecting_log(module)
    try:
        return typed(module).Builder(log), log
    except TypeError as error:  # pybind11 raises this when the constructor returns nullptr
        raise RunnerError(
            f"TensorRT cannot start: {log.last()}; full TensorRT needs an NVIDIA driver to build"
        ) from error


def _configure(
    target: LoadedTarget, config: tensorrt.IBuilderConfig, options: PlanOptions, timing_cache: bytes
) -> tensorrt.ITimingCache | None:
    """Set all options on a builder config. Returns the timing cache object, or None for a target without one."""
    trt, traits = typed(target.module), target.traits
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    # fp32 means fp32: a hint's logit is a difference of squared distances and needs more than TF32's ten bits.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for the engine inspector; plans are no larger
    if traits.external_tactics:
        config.set_tactic_sources(sum(1 << int(getattr(trt.TacticSource, name)) for name in OWN_TACTICS))
    if options.optimisation is not None:
        config.builder_optimization_level = options.optimisation
    if options.hardware:
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, options.hardware)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.compute_capabilities:
        _aim(config, target.module, options.compute_capabilities)
    if not traits.timing_cache:
        return None
    cache = config.create_timing_cache(timing_cache)
    if not config.set_timing_cache(cache, ignore_mismatch=False):  # of another GPU, or damaged
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _narrow(target: LoadedTarget, config: Any, network: Any, graph: Graph) -> Holds | None:
    """Allow fp16 and INT8 where the graph's precision says so, and hold what must stay in fp32; None for fp32."""
    if graph.precision == "fp32":
        return None
    trt, model = typed(target.module), onnx.load_model_from_string(graph.onnx)
    config.set_flag(trt.BuilderFlag.FP16)
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        config.set_flag(trt.BuilderFlag.INT8)  # without quantised tensors TensorRT would ask for a calibrator
    return hold_fp32(target, config, network, model, graph.keep_fp32)


def _aim(config: Any, rtx: Any, capabilities: tuple[str, ...]) -> None:
    """Set the GPUs that a plan of TensorRT-RTX is for."""
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        config.set_compute_capability(getattr(rtx.ComputeCapability, enum_name(capability)), index)


def _monitor(target: LoadedTarget, progress: Progress) -> tensorrt.IProgressMonitor:
    """A TensorRT progress monitor that calls `progress` for the outermost phases."""
    trt = typed(target.module)

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.steps[phase_name] = num_steps
                progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.steps:
                progress(phase_name, step + 1, self.steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            if phase_name in self.steps:
                progress(phase_name, self.steps[phase_name], self.steps[phase_name])

    return Monitor()
