"""A kiosk in a process of its own, for measuring."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...engine.errors import ConfigError

STOP_S = 15.0
KIOSK = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "kiosk")


@contextmanager
def running_kiosk(model: str, settings: str) -> Iterator[str]:
    """The address of a kiosk with `settings` (the text of a TOML file, without [server] port).

    Raises ConfigError if it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kiosk.toml"
        config.write_text(f"server.port = 0\n{settings}")
        command = [*KIOSK, "--config", str(config), "--model", model]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            line = server.stdout.readline() if server.stdout else ""
            if " at " not in line:
                raise ConfigError(f"the kiosk did not start with model {model}; try `livetint kiosk --check`")
            yield line.split(" at ")[1].strip()
        finally:
            server.terminate()
            server.wait(STOP_S)
