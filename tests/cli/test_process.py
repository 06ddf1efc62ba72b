"""What goes wrong around a command: Ctrl-C, no memory, no room for the output, no home folder, marks in text files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import cv2
import platformdirs
import pytest
from livetint.calibration.ranges import load_ranges
from livetint.cli.__main__ import main
from livetint.cli.terminal import run
from livetint.engine import models
from livetint.engine.cache import user_cache
from livetint.engine.errors import ConfigError
from livetint.engine.files import read_toml
from livetint.engine.models import bundled_folder
from livetint.engine.session import parse_edits
from livetint.kiosk.settings import load_settings
from PIL import Image

COFFEE = bundled_folder().parent / "photos" / "coffee.jpg"


def livetint(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


# Ctrl-C ---------------------------------------------------------------------------------------------------------

INTERRUPT_AT_IMPORT = """
import importlib.abc, os, signal, sys
class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from livetint.cli.__main__ import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("module", ["click", "numpy", "cv2", "onnxruntime", "livetint.cli.colorize"])
def test_ctrl_c_while_modules_are_imported_ends_in_one_line(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPT_AT_IMPORT, module, "colorize", COFFEE, "-o", tmp_path / "out.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "livetint: interrupted\n")
    assert not list(tmp_path.iterdir())


def test_an_ignored_interrupt_stays_ignored(tmp_path: Path) -> None:
    """As under nohup, and in scripts that run a command in the background."""
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPT_AT_IMPORT
    done = subprocess.run([sys.executable, "-c", ignoring, "click", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("livetint")


# Memory ---------------------------------------------------------------------------------------------------------


def no_memory() -> dict[str, Exception]:
    caused = RuntimeError("the encoder failed")
    caused.__cause__ = MemoryError()
    return {
        "Python": MemoryError(),
        "OpenCV": cv2.error("(-4:Insufficient memory) Failed to allocate 1724976 bytes in function 'OutOfMemoryError'"),
        "NumPy": MemoryError("Unable to allocate 3.00 GiB for an array with shape (1, 2) and data type float32"),
        "ONNX Runtime": RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : bad allocation"),
        "C++": RuntimeError("std::bad_alloc"),
        "the loader": ImportError("libvpx.so.11: failed to map segment from shared object"),
        "the system": OSError(12, "Cannot allocate memory"),
        "a cause": caused,
    }


@pytest.mark.parametrize("kind", no_memory())
def test_lack_of_memory_is_one_line(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    def fail() -> None:
        raise no_memory()[kind]

    with pytest.raises(SystemExit) as leaving:
        run(click.Command("x", callback=fail), "x", [])
    out, err = capsys.readouterr()
    assert leaving.value.code == 3 and out == "" and err.count("\n") == 1 and "not enough memory" in err


def test_a_fault_of_the_program_is_not_hidden() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(click.Command("x", callback=fail), "x", [])


def test_a_file_that_cannot_be_read_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "notes.txt")

    with pytest.raises(SystemExit) as leaving:
        run(click.Command("x", callback=fail), "x", [])
    assert leaving.value.code == 2
    assert capsys.readouterr().err == "livetint: notes.txt: Permission denied; check the path and its rights\n"


# Output ---------------------------------------------------------------------------------------------------------

PRINTING = [["models", "list"], ["doctor", "--json"], ["--help"], ["--version"]]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [*PRINTING, ["colorize", "PICTURE", "-o", "-"]], ids=" ".join)
def test_a_full_output_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]
) -> None:
    Image.new("L", (40, 30), 90).save(tmp_path / "small.png")
    arguments = [argument.replace("PICTURE", str(tmp_path / "small.png")) for argument in arguments]
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code, _, err = livetint(capsys, *arguments)
        monkeypatch.undo()
    assert code == 2 and err.count("\n") == 1
    assert err.startswith("livetint: cannot write the output: No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_output_leaves_no_complaint_at_the_end_of_the_process() -> None:
    code = "from livetint.cli.__main__ import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_closed_output_is_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    code, _, err = livetint(capsys, *arguments)
    assert (code, err) == (0, "")


def test_a_picture_for_a_closed_output_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    code, _, err = livetint(capsys, "colorize", COFFEE, "-o", "-")
    assert code == 2 and err == "livetint: standard output is closed; open it, or name a file with -o\n"


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    code = (
        "import os; os.close(1); os.close(2)\n"
        "from livetint.cli.process import open_standard_streams; open_standard_streams()\n"
        "os._exit(os.open('/', os.O_RDONLY) > 2 and os.path.samestat(os.fstat(1), os.stat(os.devnull)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 1


# Every place is checked before the work -------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["n" * 256 + ".json", "folder", "/proc/hints.json", "missing/hints.json", "pipe"])
def test_no_picture_is_written_where_the_hints_cannot_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("livetint.cli.colorize.open_session", lambda *_: pytest.fail("the work has begun"))
    code, out, err = livetint(capsys, "colorize", COFFEE, "-o", tmp_path / "out.png", "--save-hints", tmp_path / place)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("length", [246, 255])
def test_a_picture_with_a_long_name_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path, length: int) -> None:
    Image.new("L", (40, 30), 90).save(tmp_path / "small.png")
    out = tmp_path / ("n" * (length - 4) + ".png")
    assert livetint(capsys, "colorize", tmp_path / "small.png", "-o", out)[0] == 0
    assert out.exists()


# Home -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["newer platformdirs", "older platformdirs"])
def homeless(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without HOME and without an entry among the users; returns the folder for temporary files."""

    def no_home(name: str) -> str:
        if request.param == "newer platformdirs":
            raise RuntimeError("could not determine the home directory")
        return f"~/.cache/{name}"

    monkeypatch.setattr(platformdirs, "user_cache_dir", no_home)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_without_a_home_folder_every_command_works(capsys: pytest.CaptureFixture[str], homeless: Path) -> None:
    for arguments in (["models", "list"], ["doctor"]):
        code, out, err = livetint(capsys, *arguments)
        assert (code, err) == (0, "") and "touch" in out
    cache = user_cache()
    assert cache.parent == homeless and cache.stat().st_mode & 0o777 == 0o700
    assert models.cache_folder() == cache / "models"
    assert not Path("~").exists()


@pytest.mark.parametrize("planted", ["open to others", "a link", "a file"])
def test_a_cache_that_others_could_have_planted_is_not_used(homeless: Path, planted: str) -> None:
    place = homeless / f"livetint-{os.getuid()}"
    if planted == "open to others":
        place.mkdir()
        place.chmod(0o777)
    elif planted == "a link":
        (homeless / "elsewhere").mkdir(mode=0o700)
        place.symlink_to("elsewhere")
    else:
        place.touch()
    with pytest.raises(ConfigError, match=r"no home folder for the cache.*set HOME or XDG_CACHE_HOME"):
        user_cache()


# Byte-order marks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_text_files_of_windows_editors_are_read(tmp_path: Path, encoding: str, line_end: str) -> None:
    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_bytes(text.replace("\n", line_end).encode(encoding))
        return tmp_path / name

    settings = load_settings(written("kiosk.toml", '[server]\nport = 8203\n[visitors]\nlanguage = "de"\n'))
    assert (settings.server.port, settings.visitors.language) == (8203, "de")
    captions = read_toml(written("captions.de.toml", '["a.png"]\ntitle = "Der Müller"\n'))
    assert captions == {"a.png": {"title": "Der Müller"}}
    hints = written("hints.json", '{"schema": 1,\n"hints": [{"x": 0.5, "y": 0.5, "a": 1, "b": 2}]}')
    assert len(parse_edits(hints.read_bytes()).hints) == 1
    ranges = (bundled_folder() / "touch" / "ranges.json").read_text("utf-8")
    assert "encoder" in load_ranges(written("ranges.json", ranges)).stages


def test_text_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not readable TOML"):
        read_toml(tmp_path / "a.toml")
    for data in (b"\xff\xfe\x00", b"\xffx"):
        with pytest.raises(ConfigError, match="hints file is not usable"):
            parse_edits(data)
