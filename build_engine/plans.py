"""From an ONNX graph to a TensorRT plan: the same steps for every flavour, steered by its traits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ..engine.errors import ConfigError, RunnerError
from ..engine.runners.tensorrt.plans import collecting_log, typed
from .tensorrt_versions import Flavour, enum_name

if TYPE_CHECKING:
    import tensorrt

Progress = Callable[[str, int, int], None]  # phase, steps done, steps in all


class PlanOptions(msgspec.Struct, frozen=True):
    """Options of a build; all of them enter the cache key.

    workspace_mib: most scratch memory a layer may take. optimisation: 0…5, None for TensorRT's own. hardware: ""
    for this GPU alone or a hardware compatibility level. version_compatible: plans for a lean runtime.
    compute_capabilities: what TensorRT-RTX builds for; empty for all it supports.
    """

    precision: str = "fp16"
    workspace_mib: int = 1024
    optimisation: int | None = None
    hardware: str = ""
    version_compatible: bool = False
    compute_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a parsed network: kind, name, element type and shape of its first output."""

    kind: str
    name: str
    precision: str
    shape: tuple[int, ...]


def check_options(flavour: Flavour, options: PlanOptions) -> None:
    """Raise ConfigError for options that this flavour and version cannot honour."""
    traits, found = flavour.traits, f"{flavour.name} {flavour.version}"
    if options.compute_capabilities and not traits.compute_capabilities:
        raise ConfigError(f"--compute-capability is for tensorrt-rtx; {found} builds for the GPU it runs on")
    for capability in options.compute_capabilities:
        enum_name(capability)
    if options.hardware and options.hardware not in traits.hardware_levels:
        offered = ", ".join(traits.hardware_levels) or "none"
        raise ConfigError(f"hardware compatibility {options.hardware} is not offered by {found}; it has: {offered}")
    if options.version_compatible and not traits.version_compatible:
        raise ConfigError(f"version-compatible plans are not offered by {found}")


def build_plan(
    flavour: Flavour,
    onnx: bytes,
    options: PlanOptions,
    progress: Progress | None = None,
    timing_cache: bytes = b"",
) -> tuple[bytes, bytes]:
    """Build one plan from an ONNX graph with static shapes: the plan, and the timing cache (empty for RTX).

    Raises RunnerError with TensorRT's own words when parsing or building fails.
    """
    check_options(flavour, options)
    log = collecting_log(flavour.module)
    builder = _builder(flavour, log)
    network, parser = parsed_network(flavour, builder, onnx, log)
    config = builder.create_builder_config()
    cache = _configure(flavour, config, options, timing_cache)
    if progress is not None and flavour.traits.progress_monitor:
        config.progress_monitor = _monitor(flavour, progress)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RunnerError(f"{flavour.name} {flavour.version} could not build the plan: {log.last()}")
    timings = bytes(memoryview(cache.serialize())) if cache is not None else b""
    del parser  # it owns the weights, so it must outlive the build
    return bytes(memoryview(plan)), timings


def network_layers(flavour: Flavour, onnx: bytes) -> list[LayerInfo]:
    """The layers TensorRT sees in a graph, with their types; needs no GPU."""
    log = collecting_log(flavour.module)
    network, parser = parsed_network(flavour, _builder(flavour, log), onnx, log)
    found = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        output = layer.get_output(0) if layer.num_outputs else None
        shape = output.shape[:] if output is not None else ()
        kind = str(output.dtype).rsplit(".", 1)[-1].lower() if output is not None else ""
        found.append(LayerInfo(str(layer.type).rsplit(".", 1)[-1], layer.name, kind, shape))
    del parser
    return found


def plan_validity(flavour: Flavour, plan: bytes) -> str | None:
    """What TensorRT-RTX says of a plan without loading it ("valid", "suboptimal" or "invalid: reasons").

    None for flavours without such a question. Without a driver the answer is "invalid: CUDA_ERROR".
    """
    if not flavour.traits.engine_validity:
        return None
    trt = flavour.module
    runtime = trt.Runtime(collecting_log(flavour.module))
    validity, reasons = runtime.get_engine_validity(plan)
    names = [name for name, value in trt.EngineInvalidityDiagnostics.__members__.items() if int(reasons) & int(value)]
    answer = str(validity).rsplit(".", 1)[-1].lower()
    return f"{answer}: {', '.join(names)}" if names else answer


def parsed_network(
    flavour: Flavour, builder: tensorrt.Builder, onnx: bytes, log: Any
) -> tuple[tensorrt.INetworkDefinition, tensorrt.OnnxParser]:
    """The network and the parser, which has to live as long as the network."""
    trt = typed(flavour.module)
    flags, kinds = 0, trt.NetworkDefinitionCreationFlag
    if flavour.traits.strongly_typed:
        flags |= 1 << int(kinds.STRONGLY_TYPED)
    if flavour.traits.explicit_batch:
        flags |= 1 << int(kinds.EXPLICIT_BATCH)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx):
        words = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise RunnerError(f"{flavour.name} {flavour.version} cannot read the graph: {words or log.last()}")
    return network, parser


def _builder(flavour: Flavour, log: Any) -> tensorrt.Builder:
    try:
        return typed(flavour.module).Builder(log)
    except TypeError as error:  # how pybind11 says that the constructor gave nothing
        raise RunnerError(
            f"TensorRT cannot start: {log.last()}; full TensorRT needs an NVIDIA driver to build"
        ) from error


def _configure(
    flavour: Flavour, config: tensorrt.IBuilderConfig, options: PlanOptions, timing_cache: bytes
) -> tensorrt.ITimingCache | None:
    """Set everything on a builder config; returns the timing cache object, or None."""
    trt, traits = typed(flavour.module), flavour.traits
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    # TF32 keeps ten bits: a hint's logit, a difference of squared distances, needs more. fp32 means fp32.
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.optimisation is not None:
        config.builder_optimization_level = options.optimisation
    if traits.precision_flags:
        for precision, flags in (("fp16", ("FP16",)), ("int8", ("FP16", "INT8"))):
            if options.precision == precision:
                for flag in flags:
                    config.set_flag(getattr(trt.BuilderFlag, flag))
    if options.hardware:
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, options.hardware)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.compute_capabilities:
        _aim(config, flavour.module, options.compute_capabilities)
    if not traits.timing_cache:
        return None
    cache = config.create_timing_cache(timing_cache)
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _aim(config: Any, rtx: Any, capabilities: tuple[str, ...]) -> None:
    """Name the GPUs a plan of TensorRT-RTX is for."""
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        config.set_compute_capability(getattr(rtx.ComputeCapability, enum_name(capability)), index)


def _monitor(flavour: Flavour, progress: Progress) -> tensorrt.IProgressMonitor:
    """TensorRT's progress monitor as calls of `progress` for the outermost phase."""
    trt = typed(flavour.module)

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
