"""The runner of an engine process: the GPU's, or the CPU's until the GPU's plans are built."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable

from ...engine.bundle import Bundle
from ...engine.errors import LivetintError
from ...engine.runners.base import Runner
from ...engine.runners.open import open_runner
from ...engine.runners.tensorrt.plan_folder import StalePlan
from ..messages import MAX_WIDTH_PX

# The largest picture that the GPU composes: that of the largest JPEG.
DISPLAY = (MAX_WIDTH_PX, MAX_WIDTH_PX)
_BUILD = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "build")


class RunnerOwner:
    """Holds `runner`. Where only the plans are missing, `livetint build` makes them in a child process.

    The CPU serves meanwhile; `improved` takes the GPU's runner when it is ready.
    """

    def __init__(
        self, bundle: Bundle, device: str, threads: int | None, say: Callable[[str], None], spin: bool = False
    ) -> None:
        """device, threads, spin: as for `open_runner`; threads do not spin, because the browser uses the same CPU
        cores. say: gets a line about every change. Raises as `open_runner` does."""
        self._bundle, self._threads, self._say = bundle, threads, say
        self._better: Runner | None = None
        self._builder: threading.Thread | None = None
        self.runner = open_runner(bundle, device, threads, DISPLAY, say, self._build, spin)

    @property
    def building(self) -> bool:
        """Whether plans are being built now."""
        return self._builder is not None and self._builder.is_alive()

    def improved(self) -> bool:
        """Whether `runner` is another one now; the old one is closed then. Call it between tasks."""
        better, self._better = self._better, None
        if better is None:
            return False
        self.runner.close()
        self.runner = better
        self._say("running on the GPU from now on")
        return True

    def _build(self, reason: StalePlan) -> None:
        self._say(f"running on the CPU while the plans for the GPU are built: {reason}")
        self._builder = threading.Thread(target=self._build_and_open, name="livetint-build", daemon=True)
        self._builder.start()

    def _build_and_open(self) -> None:
        with tempfile.TemporaryFile() as errors:
            ended = subprocess.run(
                [*_BUILD, str(self._bundle.folder)], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, check=False
            )
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        if ended.returncode:
            self._say(f"the plans could not be built, so the CPU goes on: {last}")
            return
        try:
            self._better = open_runner(self._bundle, "cuda", self._threads, DISPLAY)
        except LivetintError as error:
            self._say(f"the plans are built but the GPU does not take them, so the CPU goes on: {error}")
