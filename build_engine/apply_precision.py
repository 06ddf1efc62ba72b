"""A bundle's graphs at a precision: which stages are converted, and from which ranges."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import onnx

from ..calibration.ranges import INPUTS, Choice, Ranges, decode
from ..engine.bundle import Bundle
from ..engine.errors import ConfigError
from ..engine.files import sha256_of
from .cpu_features import pairs_saturate
from .fold import fold_constants
from .precision import to_half
from .quantise import Range, quantise_for_onnxruntime, quantise_for_tensorrt
from .split_attention import three_products

PRECISIONS = ("fp32", "fp16", "int8")


def convolution_stages(bundle: Bundle) -> list[str]:
    """The stages with convolutions, one per file. In a staged bundle that is the encoder: touches stay in fp32."""
    if bundle.manifest.input.kind == "hints":
        return ["encoder"]
    seen: dict[str, str] = {}
    for stage, file in bundle.manifest.stages.items():
        seen.setdefault(file, stage)
    return list(seen.values())


def stage_precision(bundle: Bundle, stage: str, precision: str) -> str:
    """The precision that a stage has in a bundle at `precision`: "fp32" for stages that are never converted."""
    files = bundle.manifest.stages
    converted = {files[name] for name in convolution_stages(bundle)}
    return precision if files[stage] in converted else "fp32"


def measured_dialect(dialect: str) -> str:
    """The dialect in which ONNX Runtime measures what plans of `dialect` lose.

    Graphs of "tensorrt-8" are fp32 throughout, because builder flags narrow them: measured themselves, fp16 would lose
    nothing. (On a CPU, ONNX Runtime rounds the weights of fp16 graphs, but computes in fp32.)
    """
    return "tensorrt" if dialect == "tensorrt-8" else dialect


def ranges_of(bundle: Bundle) -> Ranges | None:
    """The ranges a bundle carries; None if it carries none, or some that were measured on other inputs than today's."""
    name = bundle.manifest.ranges
    ranges = decode(bundle.files[name], name) if name else None
    return ranges if ranges and _has_todays_inputs(bundle, ranges) else None


def check_ranges(bundle: Bundle, ranges: Ranges) -> None:
    """Raise ConfigError unless `ranges` were measured on exactly this bundle's files, with inputs as they are today."""
    digests = {stage: sha256_of(bundle.stage(stage)) for stage in bundle.manifest.stages}
    if not ranges.fits(digests):
        raise ConfigError(
            f"these ranges were measured on another {ranges.made.model}, not on {bundle.folder}; "
            "run `livetint calibrate` on this model"
        )
    if not _has_todays_inputs(bundle, ranges):
        raise ConfigError(
            f"these ranges of {ranges.made.model} were measured with histograms that were wrong; {_advice(bundle)}"
        )


def _has_todays_inputs(bundle: Bundle, ranges: Ranges) -> bool:
    """Only networks of planes that take global hints had other inputs once."""
    taken = bundle.manifest.input
    return ranges.made.inputs >= INPUTS or taken.kind == "hints" or not taken.takes_global


def _advice(bundle: Bundle) -> str:
    return f"measure them: livetint calibrate {bundle.folder} --into-bundle"


def model_at_precision(
    model: onnx.ModelProto,
    precision: str,
    dialect: str,
    ranges: dict[str, Range] | None = None,
    keep: Collection[str] = (),
    keep_fp32: Collection[str] = (),
) -> onnx.ModelProto:
    """A copy of a folded graph at a precision, in the dialect of a back end.

    Dialects: "tensorrt"; "tensorrt-8", before strong typing, where only Q/DQ are in the graph and builder flags choose
    fp16; "onnxruntime", for the CPU of this machine. ranges: tensor → (low, high), needed for INT8. keep: names of
    layers that INT8 leaves alone. keep_fp32: names of nodes of `folded_for(model, dialect)` that stay in fp32 beside
    those that always do; for "tensorrt-8" the builder must be given the same names. Raises ConfigError for INT8 without
    ranges.
    """
    model = folded_for(model, dialect)
    if precision == "fp32" or (precision == "fp16" and dialect == "tensorrt-8"):
        return model
    if precision == "fp16":
        return to_half(model, keep_fp32)
    if ranges is None:
        raise ConfigError("INT8 needs ranges; measure them with `livetint calibrate`")
    if dialect == "onnxruntime":
        return quantise_for_onnxruntime(model, ranges, keep, pairs_saturate())
    return quantise_for_tensorrt(model, ranges, keep, keep_fp32, half=dialect == "tensorrt")


def folded_for(model: onnx.ModelProto, dialect: str) -> onnx.ModelProto:
    """A folded graph as a dialect needs it at every precision: TensorRT gets q, k and v as three products."""
    return model if dialect == "onnxruntime" else three_products(model)


def folded_stages(bundle: Bundle, dialect: str = "onnxruntime") -> dict[str, onnx.ModelProto]:
    """Stage → folded graph for a dialect, for the stages that a precision converts."""
    stages = convolution_stages(bundle)
    return {stage: folded_for(fold_constants(bundle.stage(stage)), dialect) for stage in stages}


def apply_precision(
    bundle: Bundle,
    precision: str,
    dialect: str,
    ranges: Ranges | None = None,
    choice: Choice | None = None,
    models: Mapping[str, onnx.ModelProto] | None = None,
    keep_fp32: Collection[str] = (),
) -> Bundle:
    """The bundle with its convolutional stages at `precision`, in memory, with new digests and without ranges.

    models: the result of `folded_stages`, for callers that convert a bundle many times. keep_fp32: names of nodes of
    `folded_stages(bundle, dialect)` that stay in fp32. Raises ConfigError for INT8 without ranges.
    """
    if precision == "int8" and (ranges is None or choice is None):
        raise ConfigError(f"{bundle.name} has no ranges for INT8; {_advice(bundle)}")
    files = bundle.stage_files | bundle.restorer_files
    for stage, model in (models or folded_stages(bundle)).items():
        bounds = ranges.of(stage, choice.method) if precision == "int8" and ranges and choice else None
        converted = model_at_precision(model, precision, dialect, bounds, choice.keep if choice else (), keep_fp32)
        files[bundle.manifest.stages[stage]] = converted.SerializeToString()
    manifest = msgspec.structs.replace(
        bundle.manifest, ranges="", files={name: sha256_of(data) for name, data in sorted(files.items())}
    )
    return Bundle(bundle.folder, manifest, files)
