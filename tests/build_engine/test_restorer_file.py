"""The restorer's network and its ONNX file."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime as ort
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ModelFileError
from livetint.engine.models import bundled_folder

from ..needs import import_or_skip
from ..restorers import lighter, with_restorer, without_restorer

torch = import_or_skip("torch")

from livetint.build_engine.networks.restorer import LITTLE, STRIDE, WORN, Restorer  # noqa: E402
from livetint.build_engine.restorer_file import export_restorer, restorer_of  # noqa: E402


@pytest.fixture(scope="module")
def plain() -> Bundle:
    return without_restorer(Bundle.load(bundled_folder() / "touch"))


@pytest.fixture(scope="module")
def changed() -> Restorer:
    """A restorer with random weights that change L by a few units."""
    torch.manual_seed(5)
    restorer = Restorer()
    torch.nn.init.normal_(restorer.leave.weight, std=0.1)
    return restorer.eval()


def planes(*shape: int):
    return torch.from_numpy(np.random.default_rng(8).uniform(0, 100, shape).astype(np.float32))


@pytest.mark.parametrize(("height", "width"), [(256, 256), (STRIDE * 2, STRIDE * 5)])
def test_an_untrained_restorer_changes_nothing(height, width):
    L = planes(2, 1, height, width)
    with torch.no_grad():
        torch.testing.assert_close(Restorer()(L), L, atol=0, rtol=0)


@pytest.mark.parametrize(("scale", "kept"), [(1.0, False), (0.02, True)])
def test_the_file_answers_as_the_network_and_holds_its_weights(changed, plain, scale, kept):
    """Where L would change by little it stays as it is."""
    restorer = copy.deepcopy(changed)
    with torch.no_grad():
        restorer.leave.weight *= scale
    data, L = export_restorer(restorer), planes(1, 1, 256, 256)
    with torch.no_grad():
        expected = restorer(L).numpy()
    size = float(np.sqrt(np.square(expected - L.numpy()).mean()))
    assert size < LITTLE if kept else size > WORN
    (found,) = ort.InferenceSession(data).run(None, {"L": L.numpy()})
    right, atol = (L.numpy(), 5e-4) if kept else (expected, 0.1 * size)
    np.testing.assert_allclose(np.asarray(found), right, atol=atol)
    read = restorer_of(with_restorer(plain, data)).state_dict()
    for name, weight in restorer.state_dict().items():
        torch.testing.assert_close(read[name], weight, atol=float(weight.abs().max()) / 250 + 1e-6, rtol=0)


def test_a_bundle_without_a_restorer_gives_one_that_changes_nothing(plain):
    with torch.no_grad():
        L = planes(1, 1, 16, 16)
        torch.testing.assert_close(restorer_of(plain)(L), L, atol=0, rtol=0)


def test_a_restorer_of_another_form_is_refused(plain):
    with pytest.raises(ModelFileError, match="another form"):
        restorer_of(with_restorer(plain, lighter(1)))
