"""Nothing leaves the machine: no command connects to another host, looks one up or writes a foreign file.

ONNX Runtime's telemetry is silent where CI is set, so the commands run without it.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime
import pytest
from livetint.engine.telemetry import OPT_OUTS
from PIL import Image

from ..kiosk.running import until
from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import needs
from .test_rooms import MAY_IMPORT

ROOT = Path(__file__).resolve().parents[2]
LIVETINT = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()")
CALLS = "connect,sendto,sendmsg,sendmmsg,openat,open,creat,mkdir,mkdirat"
# Files that a C library reads when it looks up a name.
LOOK_UP = ("/etc/resolv.conf", "/etc/hosts", "/run/systemd/resolve", "/var/run/nscd")
NOT_KEPT = ("/dev/", "/proc/")


class Traced:
    """What a command and its children asked of the system, recorded by strace. Its home is empty at the start."""

    def __init__(self, folder: Path) -> None:
        self.home, self._log = folder / "home", folder / "trace"
        self.home.mkdir()

    @contextmanager
    def running(self, *command: object) -> Iterator[subprocess.Popen[str]]:
        unset = {"CI", "LD_PRELOAD", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", *OPT_OUTS}
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment |= {"HOME": str(self.home), "TMPDIR": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}
        strace = ("strace", "-f", "-qq", "-I", "never", "-s", "200", "-e", f"trace={CALLS}", "-o", str(self._log))
        with subprocess.Popen(
            [*strace, *map(str, command)],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            yield process

    def run(self, *command: object) -> None:
        with self.running(*command) as process:
            output = process.communicate()
        assert process.returncode == 0, output

    def outside(self) -> list[str]:
        """Calls that connect to another host or look one up."""
        return [line for line in self._lines() if _leaves(line) or any(path in line for path in LOOK_UP)]

    def foreign_files(self, *own: Path) -> list[str]:
        """Files and folders made anywhere but in `own` and in Livetint's folders in the home."""
        allowed = (*NOT_KEPT, *map(str, own), *(f"{self.home}/{name}/livetint" for name in (".cache", ".local/state")))
        made = [
            line for line in self._lines() if re.search(r"O_CREAT|\bmkdir|\bcreat\(", line) and " = -1 " not in line
        ]
        paths = [re.search(r'"([^"]*)"', line) for line in made]
        return [p[1] for p in paths if p and p[1] != f"{self.home}/.cache" and not p[1].startswith(allowed)]

    def _lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()


def _leaves(line: str) -> bool:
    address = re.search(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"', line)
    return bool(address) and not address[1].startswith(("127.", "::1", "::ffff:127."))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one photograph and a small bundle."""
    folder = tmp_path_factory.mktemp("telemetry")
    (folder / "photos").mkdir()
    Image.linear_gradient("L").save(folder / "photos" / "grey.png")
    write_stub_bundle(folder / "stub")
    return folder


@needs("strace")
@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29), reason="this ONNX Runtime has no telemetry"
)
def test_the_trace_shows_onnxruntimes_telemetry(tmp_path: Path):
    trace = Traced(tmp_path)
    trace.run(sys.executable, "-c", "import onnxruntime")
    assert any("Microsoft" in path for path in trace.foreign_files())


@needs("strace")
@pytest.mark.parametrize("command", ["colorize", "doctor", "build"])
def test_a_command_keeps_to_itself(command: str, place: Path, tmp_path: Path):
    photo, stub, out = place / "photos" / "grey.png", place / "stub", tmp_path / "out"
    out.mkdir()
    arguments = {
        "colorize": (photo, "-o", out / "out.png"),
        "doctor": (),
        "build": (stub, "--target", "onnxruntime", "--precision", "fp32", "-o", out / "built"),
    }[command]
    trace = Traced(tmp_path)
    trace.run(*LIVETINT, command, *arguments)
    assert trace.outside() == []
    assert trace.foreign_files(out) == []


@needs("strace")
def test_the_kiosk_and_its_worker_keep_to_themselves(place: Path, tmp_path: Path):
    trace = Traced(tmp_path)
    options = ("--port", 0, "--photos", place / "photos", "--model", place / "stub")
    with trace.running(*LIVETINT, "kiosk", *options) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split(" at ")[1].strip()
        until(lambda: _ready(address), "a kiosk that is ready")
        os.killpg(process.pid, signal.SIGTERM)
    assert trace.outside() == []
    assert trace.foreign_files() == []


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/readyz") as reply:
            return reply.status == 200
    except OSError:
        return False


def test_every_package_that_imports_onnxruntime_turns_its_telemetry_off_first():
    users = {path.parent for path in _product_files() if re.search(r"^import onnxruntime", path.read_text(), re.M)}
    assert ROOT / "build_engine" in users
    for folder in users - {ROOT / "engine" / "runners"}:
        assert re.match(r"from \.+engine import telemetry", (folder / "__init__.py").read_text()), folder
    first = next(
        node for node in ast.parse((ROOT / "engine/__init__.py").read_text()).body if isinstance(node, ast.ImportFrom)
    )
    assert [alias.name for alias in first.names] == ["telemetry"]


def _product_files() -> Iterator[Path]:
    for folder in MAY_IMPORT:
        yield from (ROOT / folder).rglob("*.py")
