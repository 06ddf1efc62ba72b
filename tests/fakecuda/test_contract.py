"""TensorRTRunner keeps the contract of all runners, by plans and by fused kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.models import bundled_folder
from livetint.engine.runners.tensorrt.runner import TensorRTRunner

from ..engine.runners.contract import Opened, RunnerContract
from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import needs
from .plans import build_for_standin, tiny_bundle
from .standin import Standin

pytestmark = [needs("c++"), needs("pycuda")]
DISPLAY = (100, 100)
BUNDLES = {
    "touch": lambda folder: Bundle.load(bundled_folder() / "touch"),
    "planes": lambda folder: Bundle.load(write_stub_bundle(folder / "stub")),
    "tiny": lambda folder: tiny_bundle(folder / "tiny"),
}
CASES = [("touch", "plan"), ("touch", "kernels"), ("planes", "plan"), ("tiny", "plan")]


@pytest.fixture(scope="module", params=CASES, ids=" by ".join)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, str]:
    """A bundle with its plans in its own folder, built once, and what answers touches."""
    name, by = request.param
    folder = tmp_path_factory.mktemp("plans")
    build_for_standin(BUNDLES[name](folder), "fp32", folder=folder / "built")
    return Bundle.load(folder / "built"), by


class TestTensorRTRunner(RunnerContract):
    @pytest.fixture
    def opened(self, gpu: Standin, built: tuple[Bundle, str]) -> Iterator[Opened]:
        bundle, by = built
        with TensorRTRunner(bundle, DISPLAY, by) as runner, TensorRTRunner(bundle, DISPLAY, by) as other:
            yield Opened(runner, other)
