"""A bundle's graphs at a precision: which stages are converted, and from which ranges."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import onnx

from ..calibration.ranges import Choice, Ranges, decode
from ..engine.bundle import Bundle
from ..engine.errors import ConfigError
from ..engine.files import sha256_of
from .cpu_features import pairs_saturate
from .fold import fold_constants
from .precision import to_half
from .quantise import Range, quantise_for_onnxruntime, quantise_for_tensorrt

PRECISIONS = ("fp32", "fp16", "int8")


def convolution_stages(bundle: Bundle) -> list[str]:
    """The stages with convolutions, one per file. In a staged bundle that is the encoder: touches stay in fp32."""
    if bundle.manifest.input.kind == "hints":
        return ["encoder"]
    seen: dict[str, str] = {}
    for stage, file in bundle.manifest.stages.items():
        seen.setdefault(file, stage)
    return list(seen.values())


def ranges_of(bundle: Bundle) -> Ranges | None:
    """The ranges a bundle carries, if any."""
    name = bundle.manifest.ranges
    return decode(bundle.files[name], name) if name else None


def check_ranges(bundle: Bundle, ranges: Ranges) -> None:
    """Raise ConfigError unless `ranges` were measured on exactly this bundle's files."""
    digests = {stage: sha256_of(bundle.stage(stage)) for stage in bundle.manifest.stages}
    if not ranges.fits(digests):
        raise ConfigError(
            f"these ranges were measured on another {ranges.made.model}, not on {bundle.folder}; "
            "run `livetint calibrate` on this model"
        )


def model_at_precision(
    model: onnx.ModelProto,
    precision: str,
    dialect: str,
    ranges: dict[str, Range] | None = None,
    keep: Collection[str] = (),
) -> onnx.ModelProto:
    """A copy of a folded graph at a precision, in the dialect of a back end.

    Dialects: "tensorrt"; "tensorrt-8", before strong typing, where only Q/DQ are in the graph and builder flags choose
    fp16; "onnxruntime", for the CPU of this machine. ranges: tensor → (low, high), needed for INT8. keep: names of
    layers that INT8 leaves alone. Raises ConfigError for INT8 without ranges.
    """
    if precision == "fp32" or (precision == "fp16" and dialect == "tensorrt-8"):
        return model
    if precision == "fp16":
        return to_half(model)
    if ranges is None:
        raise ConfigError("INT8 needs ranges; run `livetint calibrate` and pass --ranges")
    if dialect == "onnxruntime":
        return quantise_for_onnxruntime(model, ranges, keep, pairs_saturate())
    return quantise_for_tensorrt(model, ranges, keep, half=dialect == "tensorrt")


def folded_stages(bundle: Bundle) -> dict[str, onnx.ModelProto]:
    """Stage → folded graph, for the stages that a precision converts."""
    return {stage: fold_constants(bundle.stage(stage)) for stage in convolution_stages(bundle)}


def apply_precision(
    bundle: Bundle,
    precision: str,
    dialect: str,
    ranges: Ranges | None = None,
    choice: Choice | None = None,
    models: Mapping[str, onnx.ModelProto] | None = None,
) -> Bundle:
    """The bundle with its convolutional stages at `precision`, in memory, with new digests and without ranges.

    models: the result of `folded_stages`, for callers that convert a bundle many times.
    """
    files = {file: bundle.files[file] for file in bundle.manifest.stages.values()}
    for stage, model in (models or folded_stages(bundle)).items():
        bounds = ranges.of(stage, choice.method) if precision == "int8" and ranges and choice else None
        converted = model_at_precision(model, precision, dialect, bounds, choice.keep if choice else ())
        files[bundle.manifest.stages[stage]] = converted.SerializeToString()
    manifest = msgspec.structs.replace(
        bundle.manifest, ranges="", files={name: sha256_of(data) for name, data in sorted(files.items())}
    )
    return Bundle(bundle.folder, manifest, files)
