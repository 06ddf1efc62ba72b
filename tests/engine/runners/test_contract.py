"""OnnxRunner fulfils the contract of all runners, with hint tensors and with planes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.models import bundled_folder
from livetint.engine.runners.onnx import OnnxRunner

from ...fakecuda.plans import tiny_bundle
from ...kiosk.stub_bundle import write_stub_bundle
from .contract import Opened, RunnerContract

BUNDLES = {
    "touch": lambda folder: Bundle.load(bundled_folder() / "touch"),
    "planes": lambda folder: Bundle.load(write_stub_bundle(folder / "stub")),
    "tiny": lambda folder: tiny_bundle(folder / "tiny"),
}


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return BUNDLES[request.param](tmp_path_factory.mktemp("bundles"))


class TestOnnxRunner(RunnerContract):
    @pytest.fixture
    def opened(self, bundle: Bundle) -> Iterator[Opened]:
        with OnnxRunner(bundle, threads=1) as runner, OnnxRunner(bundle, threads=1) as other:
            yield Opened(runner, other)
