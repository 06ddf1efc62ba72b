"""The kiosk on a GPU: an error that sticks ends its worker with exit code 70, another goes on, nothing is lost."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from livetint.engine.bundle import Bundle
from livetint.engine.runners import base
from livetint.engine.runners.tensorrt.plan_folder import cached_folder
from livetint.engine.runners.tensorrt.runner import TensorRTRunner
from livetint.kiosk.engine.process import EngineProcess
from livetint.kiosk.engine.runner_owner import RunnerOwner
from livetint.kiosk.engine.service import EngineService
from livetint.kiosk.memory import NamelessFile
from livetint.kiosk.messages import MAX_WIDTH_PX, SHARED_BYTES, Answer, Edit, HintMessage, PictureRef, Task
from livetint.kiosk.settings import EngineTable
from PIL import Image

from ..kiosk.processes import alive, children
from ..kiosk.running import RunningKiosk, until
from ..kiosk.stub_bundle import write_stub_bundle
from ..kiosk.test_server import controls, edit, first_picture, reply
from ..needs import needs
from .plans import build_for_standin
from .standin import Standin

pytestmark = [needs("c++"), needs("pycuda")]


@pytest.fixture
def stub(gpu: Standin, tmp_path: Path) -> Path:
    """The kiosk's stub with plans for the stand-in."""
    folder = write_stub_bundle(tmp_path / "stub")
    build_for_standin(Bundle.load(folder), "fp32")
    return folder


def test_a_lost_gpu_ends_the_worker_with_its_code(
    stub: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    async def pulses(memory: NamelessFile) -> tuple[list[Answer], int | None]:
        settings = EngineTable(model=str(stub), threads=1, device="cuda")
        worker = await EngineProcess.start(settings, memory.descriptor, 64)
        answers = [Answer()]  # the one that `start` waits for
        with pytest.raises(EOFError):
            while len(answers) < 6:
                answers.append(await worker.exchange(Task("pulse"), []))
        await worker.ended()
        await worker.end()
        return answers, worker.exit_code

    monkeypatch.setenv("FAKECUDA_FAULT", "cuGraphLaunch:3:719")
    with NamelessFile("pixels") as memory:
        os.ftruncate(memory.descriptor, SHARED_BYTES)
        answers, code = asyncio.run(pulses(memory))
    errors = capfd.readouterr().err
    assert code == 70, errors
    assert len(answers) == 3 and all(answer.ok for answer in answers), "no answer for what was not done"
    assert "the GPU is lost to this process" in errors


def test_the_page_goes_on_after_a_lost_gpu(stub: Path, tmp_path: Path):
    kiosk = RunningKiosk(
        tmp_path / "kiosk", stub, environment={"FAKECUDA_FAULT": "cuGraphLaunch:6:719"}, engine={"device": "cuda"},
        screen={"pixels": "planes"},
    )  # fmt: skip
    try:
        with controls(kiosk) as socket:
            photo, seqs = first_picture(kiosk), itertools.count(1)

            def shown(x: float) -> np.ndarray:
                socket.send(edit(photo, next(seqs), hints=[[x, 0.5, 20, 30, 5]]))
                return np.frombuffer(reply(socket)[1], np.float16)

            before = shown(0.5)

            def painted() -> bool:
                shown(0.25)
                shown(0.75)
                return kiosk.status()["engine_faults"] >= 1 and kiosk.status()["ready"]

            until(painted, "a lost GPU and an edit after it")
            np.testing.assert_allclose(shown(0.5), before, atol=0.05)
        assert "the GPU is lost to this process" in kiosk.log.read_text()
    finally:
        kiosk.close()


def test_a_build_ends_with_the_worker_that_started_it(gpu: Standin, tmp_path: Path):
    model = write_stub_bundle(tmp_path / "stub")
    plans = cached_folder(Bundle.load(model), "tensorrt")
    plans.parent.mkdir(parents=True)
    with FileLock(plans.parent / f".{plans.name}.lock"):  # the build waits for it
        kiosk = RunningKiosk(tmp_path / "kiosk", model, engine={"device": "cuda", "spare": False})
        try:
            worker = kiosk.worker
            builds = until(lambda: children(worker, "livetint.cli"), "the build")
            os.kill(worker, signal.SIGKILL)
            until(lambda: not any(alive(build) for build in builds), "the end of the build")
        finally:
            kiosk.close()


def test_the_gpu_composes_jpegs_up_to_the_largest_that_a_page_asks_for(stub: Path, monkeypatch: pytest.MonkeyPatch):
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[:, 40:] = np.linspace(0, 255, 80, dtype=np.uint8)[:, None]
    file, ref = io.BytesIO(), PictureRef("one", "1")
    Image.fromarray(pixels).save(file, "PNG")
    hints = (HintMessage(0.3, 0.3, 20, 30), HintMessage(0.7, 0.6, -30, 10))
    task = Task("edit", ref, edit=Edit(1, "0" * 16, hints, want="jpeg", width=100), upsampling="guided")
    shown = []
    for device in ("cpu", "cuda"):
        owner = RunnerOwner(Bundle.load(stub), device, 1, [].append)
        if device == "cuda":
            assert isinstance(owner.runner, TensorRTRunner)
            assert owner.runner.stages.display_pixels == MAX_WIDTH_PX**2
            monkeypatch.setattr(base, "compose", None)
        descriptor = os.memfd_create("one")
        os.write(descriptor, file.getvalue())
        jpeg = EngineService(owner.runner, 64).do(task, {ref: descriptor})[1]
        os.close(descriptor)
        owner.runner.close()
        shown.append(np.asarray(Image.open(io.BytesIO(jpeg))).astype(int))
    assert shown[0].shape == (75, 100, 3)
    assert np.abs(shown[1] - shown[0]).mean() < 1
