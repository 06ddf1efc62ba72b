"""What the integer instructions of this CPU can do."""

from __future__ import annotations

import platform
from pathlib import Path

X86 = frozenset({"x86_64", "amd64", "i386", "i686"})
# Instructions that sum products of 8-bit numbers in 32 bits.
EXACT_SUMS = frozenset({"avx512_vnni", "avx_vnni"})


def pairs_saturate(machine: str | None = None, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether ONNX Runtime's 8-bit convolutions add pairs of u8 · s8 products in 16 bits here, as on x86 without VNNI.

    A CPU whose features are unknown is assumed to lack VNNI.
    """
    if (machine or platform.machine()).lower() not in X86:
        return False
    try:
        lines = cpuinfo.read_text("ascii", "replace").splitlines()
    except OSError:
        return True
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return not EXACT_SUMS.intersection(flags)
