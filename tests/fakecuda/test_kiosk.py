"""The kiosk on a GPU: an error that sticks ends its worker with exit code 70, another goes on, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.kiosk.memory import NamelessFile
from livetint.kiosk.messages import SHARED_BYTES

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


def test_a_lost_gpu_ends_the_worker_with_its_code(stub: Path):
    memory = NamelessFile("pixels")
    os.ftruncate(memory.descriptor, SHARED_BYTES)
    done = subprocess.run(
        [sys.executable, "-m", "livetint.kiosk.engine.service",
         str(stub), "1", "cuda", "False", str(memory.descriptor), "64"],
        input='{"op": "pulse"}\n' * 5, env={**os.environ, "FAKECUDA_FAULT": "cuGraphLaunch:3:719"},
        pass_fds=(memory.descriptor,), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    memory.close()
    assert done.returncode == 70, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 3 and all(answer.get("ok", True) for answer in answers), "no answer for what was not done"
    assert "the GPU is lost to this process" in done.stderr


def test_the_page_goes_on_after_a_lost_gpu(stub: Path, tmp_path: Path):
    kiosk = RunningKiosk(
        tmp_path / "kiosk", stub, environment={"FAKECUDA_FAULT": "cuGraphLaunch:6:719"}, engine={"device": "cuda"},
        screen={"pixels": "planes"},
    )  # fmt: skip
    try:
        with controls(kiosk) as socket:
            photo = first_picture(kiosk)
            hints = [[0.5, 0.5, 20, 30, 5]]
            shown: list[np.ndarray] = []

            def painted() -> bool:
                socket.send(edit(photo, len(shown) + 1, hints=hints))
                shown.append(np.frombuffer(reply(socket)[1], np.float16))
                return kiosk.status()["engine_faults"] >= 1 and kiosk.status()["ready"]

            until(painted, "a lost GPU and an edit after it")
            painted()
        np.testing.assert_allclose(shown[-1], shown[0], atol=0.05)
        assert "the GPU is lost to this process" in kiosk.log.read_text()
    finally:
        kiosk.close()
