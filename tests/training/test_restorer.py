"""Training of the restorer: what it learns from, and a short real run that becomes a bundle."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.engine import OnnxRunner
from livetint.engine.errors import ConfigError
from livetint.engine.models import find_model

from ..needs import import_or_skip
from ..restorers import lighter, with_restorer, without_restorer

torch = import_or_skip("torch")

from livetint.build_engine.apply_precision import check_ranges, ranges_of  # noqa: E402
from livetint.build_engine.restorer_file import restorer_of  # noqa: E402
from livetint.engine.bundle import write_bundle  # noqa: E402
from livetint.training import restorer  # noqa: E402
from livetint.training.adjust import Change, adjust  # noqa: E402
from livetint.training.aging import HEAVY, LIGHT, age  # noqa: E402
from livetint.training.config import Augmentation, load_config  # noqa: E402
from livetint.training.draws import Draws  # noqa: E402
from livetint.training.restorer import AGED_TIMES, RestorerTask, aged_versions  # noqa: E402
from livetint.training.run import run  # noqa: E402

from .pictures import batch_of, squares, write_settings  # noqa: E402

CPU = torch.device("cpu")


def settings_for(folder, steps: int, losses: str = ""):
    """A short run of a restorer of the bundled `touch`."""
    path = write_settings(folder, steps)
    text = path.read_text()
    network = text[text.index("[network]") : text.index("[card]")]
    text = text.replace(network, "").replace("distribution_points = 16", losses)
    path.write_text(f'network = "restorer"\nencoder_of = "touch"\n{text}')
    return path


def batch(number: int = 0):
    return batch_of(squares(), 10, Augmentation(crop_px=64, recoloured=0.0), number)


def test_some_photographs_stay_clean_and_the_others_are_aged_again_and_again():
    L = batch().L
    clean, versions, source = aged_versions(L, Draws(CPU, 1))
    assert clean is L and len(versions) == len(source) == 3 + 7 * AGED_TIMES
    torch.testing.assert_close(versions[:3], L[:3], atol=0, rtol=0)
    assert sorted(source.tolist()) == sorted([0, 1, 2, *(list(range(3, 10)) * AGED_TIMES)])
    change = (versions - L[source]).abs().mean((1, 2, 3))
    assert (change[3:] > 0.2).float().mean() > 0.8
    assert versions.min() >= 0 and versions.max() <= 100


def test_heavy_wear_changes_more_than_light_wear():
    L = torch.full((40, 1, 48, 48), 60.0) + 20 * torch.sin(torch.arange(48) / 5)
    light, heavy = ((age(L, Draws(CPU, 4), wear) - L).abs().mean() for wear in (LIGHT, HEAVY))
    assert heavy > 1.3 * light


def test_a_restorer_that_changes_nothing_loses_nothing_on_clean_photographs(folder, monkeypatch):
    settings = load_config(settings_for(folder, 1))
    monkeypatch.setattr(restorer, "CLEAN_SHARE", 1.0)
    losses = RestorerTask(settings).losses(batch())
    assert set(losses) == {"lightness", "maps", "answer"}
    assert all(float(term.detach()) < 1e-6 for term in losses.values())


def test_a_channel_that_hardly_varies_does_not_outweigh_the_others():
    values = torch.randn(4, 3, 8, 8) * torch.tensor([1.0, 2.0, 1e-6])[:, None, None]
    found = restorer.spread("key", values).flatten()
    assert found[0] < found[1] and found[2] > 0.2


@pytest.mark.parametrize("losses", ["", "maps = 0.0\nlightness = 1.0"])
def test_the_loss_falls_while_it_is_trained(folder, losses):
    torch.manual_seed(0)
    task = RestorerTask(load_config(settings_for(folder, 1, losses)))
    optimiser = torch.optim.Adam(task.network.parameters(), 2e-3)
    found = []
    for _ in range(12):
        total = torch.stack(list(task.losses(batch()).values())).sum()  # the same photographs and traces every time
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        found.append(float(total.detach()))
    assert np.mean(found[-3:]) < 0.93 * found[0]
    assert all(weight.grad is None for weight in task._touch.parameters())


def test_a_run_becomes_a_bundle_that_differs_in_the_restorer_alone(folder):
    start = find_model("touch")
    bundle = run(settings_for(folder, steps=2))
    assert bundle.manifest.version == "0" and bundle.manifest.restorer == "restorer.onnx"
    assert bundle.manifest.licence == start.manifest.licence
    assert {n: bundle.files[n] for n in start.stage_files} == start.stage_files
    ranges = ranges_of(bundle)
    assert ranges is not None
    check_ranges(bundle, ranges)
    card = bundle.files["MODEL_CARD.md"].decode()
    assert start.files["MODEL_CARD.md"].decode() in card and "## restorer 0" in card
    with OnnxRunner(bundle, threads=1) as runner:
        assert np.isfinite(runner.colorize(runner.encode(np.full((256, 256), 50, np.float32)), [])).all()
    again = run(settings_for(folder, steps=1), init=str(folder / "run" / "bundle"))
    for name, weight in restorer_of(again).state_dict().items():
        torch.testing.assert_close(weight, restorer_of(bundle).state_dict()[name], atol=2e-3, rtol=2e-2)


def test_adjusting_the_attention_keeps_the_restorer(tmp_path):
    start = with_restorer(without_restorer(find_model("touch")), lighter(1))
    source = write_bundle(tmp_path / "start", start.manifest, start.files)
    made = adjust(source, Change(contrast=(0.2, 2.0)), "9", tmp_path / "made")
    assert made.restorer == start.restorer and made.manifest.restorer == "restorer.onnx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('network = "restorer"\n', "encoder_of names the bundle"),
        ('network = "touch"\nencoder_of = "touch"\n', "encoder_of names the bundle"),
    ],
)
def test_a_restorer_belongs_to_a_bundle(folder, text, message):
    path = settings_for(folder, 1)
    path.write_text(path.read_text().replace('network = "restorer"\nencoder_of = "touch"\n', text))
    with pytest.raises(ConfigError, match=message):
        run(path)
