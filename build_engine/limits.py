"""How much a precision may change a network: one table of limits, and the faults that it must show.

`python -m livetint.build_engine.planted_faults` measures the faults and the precisions of a bundle. On the five example
photographs with ten hints, in ONNX Runtime on the CPU, `touch` 7 (and `touch` 5, by which the limits were chosen):

    graph                                           dB lost            mean |Δab|       worst map (error over spread)
    q and v exchanged in both attention blocks      -0.119 (+0.060)    1.112 (0.932)    mood 0.265 (base 0.185)
    attention at zero in both blocks                -0.131 (-0.008)    1.009 (0.892)    mood 0.261 (base 0.169)
    fp16, emulated (sums rounded too)               -0.000 (-0.001)    0.015 (0.021)    up 0.006 (up 0.009)
    INT8 for TensorRT                               -0.023 (-0.093)    0.261 (0.279)    up 0.076 (up 0.082)
    INT8 for ONNX Runtime                           -0.017 (-0.237)    0.380 (0.402)    up 0.104 (up 0.138)
    INT8 for ONNX Runtime, q and v exchanged        -0.078 (-0.046)    1.236 (1.078)    mood 0.282 (base 0.219)

dB alone see no fault. In fp16, mean |Δab| may be ten times that of the emulation, and a map three times as far off (an
H200 with TensorRT 8.6 has a mean |Δab| of 0.014 with `touch` 5). The limits of INT8 are at most half of the smallest
fault. INT8 for ONNX Runtime also quantises what layers give, so its maps may be off by more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that a precision may change.

    lost_db: dB of PSNR lost against fp32 on photographs with hints. mean_ab: mean |Δab| in CIELAB units. map_error: of
    every map of the encoder, the rms error over the map's spread.
    """

    lost_db: float
    mean_ab: float
    map_error: float


LIMITS = {
    "fp32": Limits(lost_db=0.01, mean_ab=0.02, map_error=0.003),
    "fp16": Limits(lost_db=0.05, mean_ab=0.2, map_error=0.03),
    "int8": Limits(lost_db=0.3, mean_ab=0.45, map_error=0.085),
    # By what runs the graphs, where that has limits of its own.
    "int8 onnxruntime": Limits(lost_db=0.3, mean_ab=0.45, map_error=0.16),
    # A GPU's fp16 as emulated by half_arithmetic.py: the gate for new bundles.
    "fp16 emulated": Limits(lost_db=0.05, mean_ab=0.1, map_error=0.03),
}
# Half of what the smallest planted fault shows. No rounding to fp16 comes near it.
FAULT_AB, FAULT_MAP = LIMITS["int8"].mean_ab, LIMITS["int8"].map_error
# A back end that changes answers this many times as much as the same graph does in ONNX Runtime does not only round.
FAULT_FACTOR = 2.0

# Of --compare-layers: the rms error of a tensor over its standard deviation, against ONNX Runtime. In emulated fp16 the
# encoder of `touch` has 0.048 in one sparse ReLU and at most 0.021 elsewhere. With q and v exchanged, the Split has 1.2
# and what depends on it 0.06 and more.
LAYER_LIMITS = {"fp32": 0.01, "fp16": 0.06, "int8": 0.1}


def limits_of(precision: str, arithmetic: str = "") -> Limits:
    """The limits of a precision. arithmetic: "onnxruntime", "emulated", or "" for a GPU."""
    return LIMITS.get(f"{precision} {arithmetic}", LIMITS[precision])
