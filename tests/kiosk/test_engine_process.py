"""The engine process in a running kiosk: which deadlines it gets, which pictures it knows, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .processes import alive, children
from .running import RunningKiosk, until
from .test_server import controls, edit, reply

# With this as its sitecustomize, the engine process takes SLOW_S to open pictures of SLOW_SIZE (rows, columns): longer
# than the deadline of an edit. It also waits while there is a file "shut".
SLOW_SIZE, DEADLINE_S, SLOW_S = (41, 43), 2.0, 2.5
SLOW = """
import os, sys, time
from pathlib import Path

if "livetint.kiosk.engine.service" in sys.orig_argv:
    from livetint.engine.image.photo import Photo

    folder, quickly = Path(os.environ["LIVETINT_TEST_SLOW"]), Photo.__init__

    def slowly(self, pixels):
        if pixels.rgb.shape[:2] == (41, 43):
            (folder / "opening").touch()
            while (folder / "shut").exists():
                time.sleep(0.02)
            time.sleep(2.5)
        quickly(self, pixels)

    Photo.__init__ = slowly
"""
# With this as its sitecustomize, every engine process starts a child, as it does to build plans.
_CHILD = """
import subprocess, sys

if "livetint.kiosk.engine.service" in sys.orig_argv:
    subprocess.Popen(["sleep", "300"])
"""


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (60, 80)) -> None:
    """A picture of one colour with a dark half, of `size` (rows, columns)."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[: size[0] // 2] = colour
    written = path.with_suffix(".new")
    Image.fromarray(pixels).save(written, "PNG")
    written.rename(path)


@contextmanager
def running(folder: Path, model: Path, code: str = "", **more: object) -> Iterator[RunningKiosk]:
    """A kiosk that shows the folder "show" in `folder`, whose processes run `code` as they start."""
    (folder / "sitecustomize.py").write_text(code)
    environment = {"PYTHONPATH": str(folder), "LIVETINT_TEST_SLOW": str(folder)}
    tables = {"gallery": {"folder": str(folder / "show")}, "engine": {"spare": False, "deadline_s": DEADLINE_S}, **more}
    kiosk = RunningKiosk(folder / "kiosk", model, environment=environment, **tables)
    try:
        yield kiosk
    finally:
        kiosk.close()


@pytest.fixture
def show(tmp_path: Path) -> Path:
    """The folder of an exhibition of five pictures; one is slow to open."""
    folder = tmp_path / "show"
    folder.mkdir()
    for number, name in enumerate("abcd"):
        paint(folder / f"{name}.png", (200, 60 * number, 90))
    paint(folder / "slow.png", (90, 90, 90), SLOW_SIZE)
    return folder


def pictures(kiosk: RunningKiosk) -> dict[str, str]:
    """Title → id of the pictures on show."""
    return {one["title"]: one["id"] for one in json.loads(kiosk.get("/settings.json")[1])["pictures"]}


# Deadlines


def test_an_evicted_picture_gets_the_time_to_open_again(stub: Path, tmp_path: Path, show: Path) -> None:
    with running(tmp_path, stub, SLOW) as kiosk, controls(kiosk) as socket:
        ids = pictures(kiosk)
        for seq, name in enumerate(["slow", "a", "b", "c", "d", "slow"]):
            socket.send(edit(ids[name], seq))
            assert reply(socket)[0]["seq"] == seq
        assert kiosk.status()["engine_faults"] == 0


def test_a_replaced_picture_of_the_same_name_gets_the_time_to_open(stub: Path, tmp_path: Path, show: Path) -> None:
    with running(tmp_path, stub, SLOW) as kiosk, controls(kiosk) as socket:
        before = pictures(kiosk)
        socket.send(edit(before["a"], 1))
        assert reply(socket)[0]["seq"] == 1
        paint(show / "a.png", (10, 200, 10), SLOW_SIZE)
        until(lambda: pictures(kiosk)["a"] != before["a"], "the new picture")
        socket.send(edit(pictures(kiosk)["a"], 2))
        assert reply(socket)[0]["seq"] == 2
        assert kiosk.status()["engine_faults"] == 0


def test_a_page_that_leaves_during_a_slow_open_frees_the_controls_and_keeps_the_engine(
    stub: Path, tmp_path: Path, show: Path
) -> None:
    shut = tmp_path / "shut"
    with running(tmp_path, stub, SLOW) as kiosk:
        ids, worker = pictures(kiosk), kiosk.worker
        shut.touch()
        with controls(kiosk) as leaving:
            leaving.send(edit(ids["slow"], 1))
            until((tmp_path / "opening").exists, "the opening")
        with controls(kiosk) as other:
            assert shut.exists(), "the picture is still being opened"
            other.send(edit(ids["a"], 2))
            shut.unlink()
            assert reply(other)[0]["seq"] == 2
        assert kiosk.status()["engine_faults"] == 0
        assert kiosk.worker == worker


# Moods


def test_a_replaced_reference_gives_its_own_colours(tmp_path: Path, show: Path) -> None:
    with running(tmp_path, Path("touch")) as kiosk, controls(kiosk) as socket:

        def with_reference(seq: int) -> np.ndarray:
            ids = pictures(kiosk)
            socket.send(edit(ids["a"], seq, reference=ids["b"]))
            return np.frombuffer(reply(socket)[1], np.float16).astype(float)

        paint(show / "b.png", (220, 40, 40))
        first = pictures(kiosk)["b"]
        until(lambda: pictures(kiosk)["b"] != first, "the red picture")
        red, before = with_reference(1), pictures(kiosk)["b"]
        paint(show / "b.png", (40, 60, 220))
        until(lambda: pictures(kiosk)["b"] != before, "the blue picture")
        assert np.abs(with_reference(2) - red).max() > 5


# The end


@pytest.mark.parametrize("victim", ["engine", "server"])
def test_child_processes_of_an_engine_end_with_it(stub: Path, tmp_path: Path, show: Path, victim: str) -> None:
    with running(tmp_path, stub, _CHILD, engine={"spare": True}) as kiosk:
        until(lambda: kiosk.status()["engine_spare"], "the spare engine")
        worker = kiosk.worker
        engines = [worker] if victim == "engine" else children(kiosk.process.pid, "engine.service")
        started = [child for engine in engines for child in children(engine, "sleep")]
        assert len(started) == len(engines) == (1 if victim == "engine" else 2)
        try:
            os.kill(worker if victim == "engine" else kiosk.process.pid, signal.SIGKILL)
            until(lambda: not any(alive(child) for child in started), "the end of its children", 20)
        finally:
            for child in filter(alive, started):
                os.kill(child, signal.SIGKILL)


def test_readyz_says_why_a_model_cannot_be_used(stub: Path, tmp_path: Path, show: Path) -> None:
    model = shutil.copytree(stub, tmp_path / "model")
    with running(tmp_path, model) as kiosk:
        (model / "colour.onnx").write_bytes(b"damaged")
        os.kill(kiosk.worker, signal.SIGKILL)
        until(lambda: "engine not started" in kiosk.log.read_text(), "the failed start")
        assert "colour.onnx" in until(lambda: kiosk.status()["last_engine_error"], "the reason")
