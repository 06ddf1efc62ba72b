"""The kernel lab on the GPU: every launch against its reference and timed, and again under compute-sanitizer."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine import kernels
from .processes import NOT_DONE, Ended, Program, Say, run_limited

LAB = Path(kernels.__file__).parent / "lab" / "lab.cu"
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
NVCC_PLACES = "/usr/local/cuda/bin"
PASSED, FAILED = "passed", "failed"
KEPT_LINES = 60
# `touch_values 64x64, 16 hints    6.4 us    0.2 GB/s   0.0 %`, and the same with WRONG.
TIMED = re.compile(r"^(\S.*?)\s+([\d.]+) us\b")
WRONG = re.compile(r"^(\S.*?)\s+WRONG$")


@dataclass(frozen=True)
class LabLimits:
    """Seconds that each part may take; tool_s = 0 leaves compute-sanitizer out."""

    compile_s: float = 300
    lab_s: float = 300
    tool_s: float = 900

    def within(self, left_s: float) -> LabLimits:
        """The same, each part in at most `left_s`."""
        return LabLimits(*(min(limit, left_s) for limit in (self.compile_s, self.lab_s, self.tool_s)))


class KernelLab:
    """The lab's program, which is compiled while other steps run.

    program: one that is compiled already, in place of that. Call `close` in the end.
    """

    def __init__(self, folder: Path, capability: str, program: Path | None = None) -> None:
        """folder: for the program. capability: of the GPU, such as "9.0"."""
        self._compiler: Program | None = None
        self.missing = ""
        self._program = program or folder / "lab"
        if program is not None:
            return
        nvcc = tool("nvcc")
        if nvcc is None:
            self.missing = "nvcc was not found"
            return
        architecture = f"-arch=sm_{capability.replace('.', '')}"
        command = [nvcc, "-std=c++17", "-O3", "-lineinfo", architecture, "-o", str(self._program), str(LAB)]
        self._compiler = Program(command)

    def close(self) -> None:
        """End the compiler if it still runs."""
        if self._compiler is not None:
            self._compiler.close()

    def check(self, limits: LabLimits, say: Say) -> dict[str, Any]:
        """step ("compile", "lab" and TOOLS) → "passed", "failed" or why it was not run.

        said: step → the last lines that it printed. launches, right: numbers of launches. wrong: those that answered
        wrongly. us: launch → microseconds. not_done: why there is no result, if so.
        """
        if self.missing:
            return {NOT_DONE: self.missing}
        found: dict[str, Any] = {"said": {}}
        if self._compiler is not None:
            compiled = self._compiler.wait(limits.compile_s)
            if not self._note("compile", compiled, found):
                return found | {NOT_DONE: f"the lab does not compile: {compiled.reason}"}
        say("kernels: the lab")
        ended = run_limited([str(self._program)], limits.lab_s)
        self._note("lab", ended, found)
        found |= read_lab(ended.output)
        for name in TOOLS if limits.tool_s else ():
            self._sanitize(name, limits.tool_s, found, say)
        return found

    def _sanitize(self, name: str, limit_s: float, found: dict[str, Any], say: Say) -> None:
        sanitizer = tool("compute-sanitizer")
        if sanitizer is None:
            found[name] = "not run: compute-sanitizer was not found"
            return
        say(f"kernels: {name}")
        command = [sanitizer, "--tool", name, "--error-exitcode", "9", str(self._program)]
        self._note(name, run_limited(command, limit_s), found)

    @staticmethod
    def _note(step: str, ended: Ended, found: dict[str, Any]) -> bool:
        found[step] = PASSED if ended.well else FAILED if ended.code is not None else f"not done: {ended.reason}"
        found["said"][step] = ended.output.splitlines()[-KEPT_LINES:]
        return ended.well


def read_lab(text: str) -> dict[str, Any]:
    """The lab's table in numbers: launches, right, wrong (names) and us (launch → microseconds)."""
    lines = text.splitlines()
    us = {found[1]: float(found[2]) for line in lines if (found := TIMED.match(line))}
    wrong = [found[1] for line in lines if (found := WRONG.match(line))]
    counts = re.search(r"^(\d+) of (\d+) launches are right$", text, re.M)
    right, launches = (int(counts[1]), int(counts[2])) if counts else (len(us), len(us) + len(wrong))
    return {"launches": launches, "right": right, "wrong": wrong, "us": us}


def touch_us(us: dict[str, float], hints: int) -> float | None:
    """The sum of the kernels of a touch with `hints` hints on a real photograph's cells, in microseconds."""
    size = f" 64x64, {hints} hints"
    names = [name for name in us if name.startswith("touch_") and name.endswith(size) and "_plain" not in name]
    return round(sum(us[name] for name in names), 1) if names else None


def tool(name: str) -> str | None:
    """The path of a program of the CUDA toolkit, or None."""
    return shutil.which(name) or shutil.which(name, path=NVCC_PLACES)
