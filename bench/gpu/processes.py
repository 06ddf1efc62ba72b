"""Programs with a time limit, and steps of the bench in processes of their own.

A step of its own cannot take the others with it: not by an exception, not by a crash of TensorRT, not by a CUDA error
that lasts until the process ends, not by a hang.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.errors import LivetintError
from ...engine.files import atomic_write

Say = Callable[[str], None]
# What a step that could not be done, or not wholly, says about it.
NOT_DONE = "not_done"
# Lines of a program's output that are shown when it ended badly.
SHOWN_LINES = 40
END_S = 10.0
# An absolute path, or one from the home folder, with its last part.
PATH = re.compile(r"(?<![\w.…])~?/(?:[^\s/:;,'\"]+/)*([^\s/:;,'\"]+)")
CHILD = (sys.executable, "-c", "from livetint.bench.gpu.child import main; main()")


@dataclass(frozen=True)
class Ended:
    """How a program ended. code: its exit status, negative for a signal, None if it was killed at its limit.

    seconds: from its start. limit_s: how long it was waited for.
    """

    code: int | None
    output: str
    seconds: float
    limit_s: float

    @property
    def well(self) -> bool:
        return self.code == 0

    @property
    def reason(self) -> str:
        """Why it did not end well, with its last line."""
        last = self.output.strip().rpartition("\n")[2]
        if self.code is None:
            return f"did not end within {self.seconds:.0f} s" + (f"; its last line: {last}" if last else "")
        how = f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        return f"{last} ({how})" if last else f"ended with {how}"


def environment() -> dict[str, str]:
    """The environment of steps. Lazy loading of CUDA modules saves most of TensorRT 8's start-up."""
    return {"CUDA_MODULE_LOADING": "LAZY", **os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


class Program:
    """A program that was started, in a session of its own. What it prints is kept."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - until it is closed
        self._started = time.perf_counter()
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = ""
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, cwd=cwd,
                env=environment() if env is None else dict(env), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._failure = f"{command[0]} cannot be started: {error.strerror}"

    def wait(self, limit_s: float) -> Ended:
        """Wait for its end. After `limit_s`, it and all that it started are killed."""
        if self._process is None:
            return Ended(127, self._failure, 0, 0)
        code = None
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            end(self._process)
        seconds = time.perf_counter() - self._started
        self._output.seek(0)
        return Ended(code, self._output.read().decode(errors="replace"), seconds, limit_s)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process is not None:
            end(self._process)
        self._output.close()


def run_limited(
    command: Sequence[str], limit_s: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Ended:
    """Run a program. At the limit, it and all that it started are killed."""
    program = Program(command, env, cwd)
    try:
        return program.wait(limit_s)
    finally:
        program.close()


def end(process: subprocess.Popen[Any]) -> None:
    """Kill a program that was started in a session of its own, with all that it started, if it still runs."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # A process that waits for the driver may not end; the bench goes on without it.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)


def attempt(name: str, step: Callable[[], dict[str, Any]], say: Say) -> dict[str, Any]:
    """A step's result, with its seconds if it does not say them. Any exception becomes the reason under NOT_DONE."""
    started = time.perf_counter()
    try:
        found = step()
    except Exception as error:  # noqa: BLE001 - the other steps still run
        say_traceback(say)
        found = {NOT_DONE: reason_of(error)}
    if NOT_DONE in found:
        say(f"  {name}: not done: {found[NOT_DONE]}")
    return {"seconds": round(time.perf_counter() - started, 1), **found}


def in_process(step: str, given: dict[str, Any], limit_s: float, say: Say) -> dict[str, Any]:
    """Run a step of `child.py` in a process of its own. What it had found when it failed or met its limit is kept."""
    with tempfile.TemporaryDirectory() as folder:
        spec, out = Path(folder, "spec.json"), Path(folder, "found.json")
        spec.write_text(json.dumps(given | {"step": step}))
        return read_child(run_limited([*CHILD, str(spec), str(out)], limit_s), out, say)


def read_child(ended: Ended, out: Path, say: Say) -> dict[str, Any]:
    """What a child wrote to `out`, and why there is not more."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(out.read_text())
    if not ended.well:
        say("\n".join(ended.output.strip().splitlines()[-SHOWN_LINES:]))
        found.setdefault(NOT_DONE, ended.reason)
    return found


def reason_of(error: BaseException) -> str:
    """An exception as one line: a sentence of ours as it is, others with their type."""
    sentence = " ".join(str(error).split())
    return sentence if isinstance(error, LivetintError) and sentence else f"{type(error).__name__}: {sentence}"


def say_traceback(say: Say) -> None:
    """The traceback of the exception that is being handled, unless it is a LivetintError, whose sentence says it."""
    if not isinstance(sys.exc_info()[1], LivetintError):
        say(traceback.format_exc().rstrip())


def write_json(path: Path, value: Any) -> None:
    """Write a result: whole or not at all. Numbers that JSON does not have become null."""
    atomic_write(path, json.dumps(plain(value), indent=1, allow_nan=False).encode() + b"\n")


def plain(value: Any) -> Any:
    """The value in JSON's types. NumPy's numbers become Python's, infinite ones and NaN None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def without_folders(value: Any) -> Any:
    """The value, in whose texts a path is its last part alone: a result that is published names no folder."""
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(item) for item in value]
    return PATH.sub(r"…/\1", value) if isinstance(value, str) else value
