"""`livetint colorize` with folders, with a manifest, and with standard input and output."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from livetint.archive.manifest import NAME
from livetint.engine.files import sha256_of
from livetint.engine.models import bundled_folder
from PIL import Image

from ..kiosk.stub_bundle import write_stub_bundle
from .test_cli import livetint

COFFEE = bundled_folder().parent / "photos" / "coffee.jpg"
HINTS = json.dumps({"schema": 1, "hints": [{"x": 0.5, "y": 0.5, "a": 60, "b": 20, "size": 9}]})


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stub_bundle(tmp_path_factory.mktemp("bundle") / "stub")


def write_grey(path: Path, level: int, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (32, 24), level).save(path, **options)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    write_grey(folder / "a.jpg", 90, dpi=(300, 300))
    write_grey(folder / "deep" / "er" / "b.tif", 130)
    return folder


def records(out: Path) -> dict[str, dict]:
    """The last record of every photograph."""
    return {record["path"]: record for record in map(json.loads, (out / NAME).read_text().splitlines())}


def test_a_folder_becomes_the_same_tree_and_failures_come_last(capsys, scans: Path, tmp_path: Path, stub: Path):
    out = tmp_path / "coloured"
    write_grey(scans / "c.png", 110)
    (scans / "c.png.hints.json").write_text(HINTS)
    write_grey(scans / "d.png", 110)
    (scans / "d.png.hints.json").write_text("{oops")
    write_grey(scans / "e.ppm", 110)
    (scans / "f.jpg").write_text("no picture")
    (scans / "notes.txt").write_text("no picture")
    code, said, err = livetint(capsys, "colorize", scans, "-o", out, "--jobs", 2, "--model", stub)
    lines = err.splitlines()
    assert (code, said) == (1, "")
    assert lines[0] == f"passed over: {scans}/notes.txt (not a picture)"
    assert lines[1].startswith(f"{out}: 4 coloured in ") and "on the CPU, 2 processes" in lines[1]
    assert lines[1].endswith("1 passed over; 2 failed")
    assert sorted(lines[2:])[0].startswith(f"failed: {scans}/d.png: the hints file is not usable")
    assert sorted(lines[2:])[1].startswith(f"failed: {scans}/f.jpg is not a picture")
    copies = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert copies == {NAME, "a.jpg", "deep/er/b.tif", "c.png", "e.png"}
    assert Image.open(out / "a.jpg").info["dpi"] == (300, 300)
    without, with_hints = (np.asarray(Image.open(out / name))[12, 16].astype(int) for name in ("e.png", "c.png"))
    assert with_hints[0] - with_hints[1] > without[0] - without[1] + 30
    found = records(out)
    assert found["a.jpg"]["sha256_in"] == sha256_of((scans / "a.jpg").read_bytes())
    assert found["a.jpg"]["sha256_out"] == sha256_of((out / "a.jpg").read_bytes())
    assert (
        found["c.png"]["options"]["hints"] == sha256_of(HINTS.encode()) and found["a.jpg"]["options"]["hints"] is None
    )
    assert found["f.jpg"]["error"] and found["f.jpg"]["sha256_in"] and not found["f.jpg"]["sha256_out"]


def test_a_run_skips_what_is_done_and_redoes_what_has_changed(capsys, scans: Path, tmp_path: Path, stub: Path):
    out = tmp_path / "out"
    command = ("colorize", scans, "-o", out, "--model", stub)
    assert "2 coloured" in livetint(capsys, *command)[2]
    before = (out / NAME).read_text()
    code, _, err = livetint(capsys, *command)
    assert code == 0 and "0 coloured" in err and "2 done before" in err
    assert (out / NAME).read_text() == before
    write_grey(scans / "a.jpg", 120)
    (out / "deep" / "er" / "b.tif").unlink()
    code, _, err = livetint(capsys, *command)
    assert code == 0 and "2 coloured" in err and (out / "deep" / "er" / "b.tif").exists()
    code, _, err = livetint(capsys, *command, "--strength", 0.5)
    assert code == 0 and "2 coloured" in err
    assert records(out)["a.jpg"]["options"]["strength"] == 0.5


def test_files_that_no_run_wrote_are_not_replaced_unasked(capsys, scans: Path, tmp_path: Path, stub: Path):
    out = tmp_path / "out"
    write_grey(out / "a.jpg", 1)
    mine = (out / "a.jpg").read_bytes()
    command = ("colorize", scans, "-o", out, "--model", stub)
    code, _, err = livetint(capsys, *command)
    assert code == 2 and "holds a file that livetint-manifest.jsonl does not list (a.jpg)" in err
    assert (out / "a.jpg").read_bytes() == mine and not (out / "deep").exists()
    code, _, err = livetint(capsys, *command, "--overwrite")
    assert code == 0 and "2 coloured" in err and (out / "a.jpg").read_bytes() != mine
    (out / "a.jpg").write_bytes(mine)  # retouched by hand
    code, _, err = livetint(capsys, *command)
    assert code == 1 and "1 done before; 1 failed" in err and "a.jpg was changed after it was written" in err
    assert (out / "a.jpg").read_bytes() == mine


def test_a_folder_gets_the_colours_of_a_single_photograph(capsys, tmp_path: Path, stub: Path):
    one, many = tmp_path / "one.png", tmp_path / "many"
    options = ("--model", stub, "--strength", 1.5, "--saturation", 0.4)
    (tmp_path / "hints.json").write_text(HINTS)
    write_grey(tmp_path / "one" / "grey.png", 140)
    source = tmp_path / "one" / "grey.png"
    assert livetint(capsys, "colorize", source, "-o", one, *options, "--hints", tmp_path / "hints.json")[0] == 0
    code, *_ = livetint(capsys, "colorize", source, "-o", f"{many}/", *options, "--hints", tmp_path / "hints.json")
    assert code == 0 and (many / "grey.png").read_bytes() == one.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scans", "-o", "out", "--hint", "3,3,#FF0000"), "--hint, --inside and --save-hints are for one photograph"),
        (("scans", "-o", "out", "--save-hints", "h.json"), "--hint, --inside and --save-hints are for one photograph"),
        (("scans/a.jpg", "-", "-o", "out"), "several need files"),
        (("scans", "-o", "-"), "several need files"),
        (("scans/a.jpg", "-o", "out.png", "--jobs", "2"), "--jobs and --cluster are for several photographs"),
        (("scans", "-o", "out.png"), "is the name of one picture"),
        (("scans", "-o", "scans"), "cannot hold photographs and results at once"),
        (("scans/a.jpg", "scans/nothing.jpg", "-o", "out"), "nothing.jpg does not exist"),
        (("empty", "-o", "out"), "there is no photograph in empty"),
        (("scans", "-o", "out", "--strength", "9"), "strength 9"),
        (("scans", "-o", "out", "--vivid", "9"), "vivid 9"),
        (("scans", "-o", "out", "--hints", "nothing.json"), "nothing.json cannot be read"),
        (("scans", "-o", "out", "--max-megapixels", "-1"), "not usable"),
        (("scans", "-o", "out", "--model", "nothing"), "no model"),
        (("scans", "-o", "scans/a.jpg"), "a.jpg"),
    ],
)
def test_a_mistake_is_refused_before_work_starts(capsys, scans: Path, monkeypatch, arguments, words: str):
    monkeypatch.chdir(scans.parent)
    Path("empty").mkdir()
    before = sorted(Path().rglob("*"))
    code, _, err = livetint(capsys, "colorize", *arguments)
    assert code == 2 and len(err.splitlines()) == 1 and words in err
    assert sorted(Path().rglob("*")) == before


def piped(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from livetint.cli.__main__ import main; main()", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False)


def test_standard_input_and_output_carry_one_photograph(capsys, tmp_path: Path, stub: Path):
    out = tmp_path / "out.png"
    assert livetint(capsys, "colorize", COFFEE, "-o", out, "--model", stub)[0] == 0
    done = piped("colorize", "-", "-o", "-", "--model", stub, data=COFFEE.read_bytes())
    assert done.returncode == 0 and done.stdout == out.read_bytes()
    assert Image.open(io.BytesIO(done.stdout)).format == "PNG"
    line = done.stderr.decode()
    assert line.startswith("standard output: 600 × 400 pixels, ") and line.endswith(" s on the CPU\n")


def test_standard_input_that_holds_no_photograph_is_named(stub: Path):
    done = piped("colorize", "-", "-o", "-", "--model", stub)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == "livetint: standard input is empty; copy or export the photograph again\n"


def test_a_terminal_is_neither_a_photograph_nor_a_picture(tmp_path: Path, stub: Path):
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "colorize"]
    for arguments in ((COFFEE, "-o", "-"), ("-", "-o", tmp_path / "out.png")):
        done = subprocess.run(
            [*command, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 2 and b"is a terminal" in done.stderr
    os.close(ours)
    os.close(theirs)
