"""Training of the paper's networks: losses, stages, input planes, weights of ECCV 2016, steps that lower the loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from livetint.build_engine.networks import TOPOLOGIES
from livetint.engine.bundle import InputTable
from livetint.engine.colour import bins
from livetint.engine.colour.global_hints import GlobalHints, histogram_of
from livetint.engine.errors import ConfigError, ModelFileError
from livetint.engine.models import bundled_folder

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.planes import PlanesNetwork, planes_network  # noqa: E402
from livetint.engine.runners.onnx import OnnxRunner  # noqa: E402
from livetint.training.config import Augmentation, Config, load_config  # noqa: E402
from livetint.training.data import Batch, make_batch  # noqa: E402
from livetint.training.eccv16 import start_from_eccv16  # noqa: E402
from livetint.training.loop import denormals_flushed  # noqa: E402
from livetint.training.losses import absolute, grid_cross_entropy  # noqa: E402
from livetint.training.planes_task import PlanesTask, distribution_loss, input_planes  # noqa: E402
from livetint.training.run import run  # noqa: E402
from PIL import Image  # noqa: E402

from .pictures import batch_of  # noqa: E402

TRAINING = Path(__file__).parents[2] / "training"
SETTINGS = """
network = "{network}"
output = "{folder}/run"
every = 2
threads = 2
[card]
version = "0"
licence = "test"
data = "test pictures"
[data]
sources = ["{folder}/photos"]
held_out = ["{folder}/photos"]
side_px = 32
held_out_limit = 1
[augmentation]
crop_px = 16
recoloured = 0.0
[optimiser]
steps = 2
batch = 2
rate = 1e-4
warm_up_steps = 1
{more}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "astronaut"):
        with Image.open(bundled_folder().parent / "photos" / f"{name}.jpg") as image:
            image.convert("RGB").resize((64, 64)).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def settings(folder: Path, network: str, more: str = "") -> Config:
    path = folder / "run.toml"
    path.write_text(SETTINGS.format(folder=folder, network=network, more=more), "utf-8")
    return load_config(path)


def a_batch(size: int = 2, crop_px: int = 16, **augmentation: float) -> Batch:
    squares = np.random.default_rng(0).integers(0, 255, (3, 24, 24, 3), np.uint8)
    chosen = Augmentation(crop_px=crop_px, recoloured=0.0, **augmentation)  # type: ignore[arg-type]
    return batch_of(squares, size, chosen, 1)


@pytest.mark.parametrize("name", ["siggraph17-paper", "siggraph17-retrained"])
def test_the_shipped_configurations_load_and_their_stages_cover_the_run(name: str) -> None:
    config = load_config(TRAINING / f"{name}.toml")
    first, last = config.stage_at(0), config.stage_at(config.optimiser.steps - 1)
    assert first is config.stages[0] and last is config.stages[-1]
    assert last is not None and last.leads == "colour" and last.hints
    if name == "siggraph17-retrained":
        assert first is not None and first.leads == "classes" and not first.hints
        assert config.losses.colour == "l1"


@pytest.mark.parametrize("path", sorted(TRAINING.glob("short/*.toml")), ids=lambda path: path.stem)
def test_the_short_runs_load_and_are_short(path: Path) -> None:
    config = load_config(path)
    assert config.network in TOPOLOGIES and config.optimiser.steps <= 500
    assert config.augmentation.crop_px <= 64 and 0 < config.data.limit <= 500


def test_stages_that_do_not_fit_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="the stages have 5 steps"):
        settings(folder, "siggraph17", "[[stages]]\nsteps = 5\nrate = 1e-4")
    with pytest.raises(ConfigError, match="expected colour or classes"):
        settings(folder, "siggraph17", '[[stages]]\nsteps = 2\nrate = 1e-4\nleads = "nobody"')


@pytest.mark.parametrize(("a", "b"), [(50, -20), (-20, 50), (-110, 110), (0, 0)])
def test_training_targets_are_a_slow_b_fast(a: int, b: int) -> None:
    logits = torch.zeros(1, 529, 1, 1)
    logits[0, int(np.flatnonzero(np.all(np.array([a, b]) == bins.GRID_CENTRES, axis=1))[0])] = 50
    colour = torch.tensor([a + 3.0, b - 3.0]).clamp(-110, 110)[None, :, None, None]
    assert grid_cross_entropy(logits, colour) < 1e-3


def test_losses_are_those_of_the_papers() -> None:
    true = torch.zeros(1, 2, 4, 4)
    assert float(absolute(true + 11, true)) == pytest.approx(2.0)  # 10 · 11/110, two channels
    ab = torch.full((1, 2, 8, 8), 12.0)
    encoded = torch.from_numpy(bins.soft_encode(np.array([12.0, 12.0])))
    logits = encoded.clamp(min=1e-8).log()[None, :, None, None].expand(1, 313, 2, 2)
    entropy = float(-(encoded * encoded.clamp(min=1e-8).log()).sum())
    assert float(distribution_loss(logits, ab)) == pytest.approx(entropy, abs=1e-4)


def test_planes_show_the_hints_nothing_or_everything() -> None:
    batch = a_batch(uniform_counts=1.0, max_hints=9)
    shown = input_planes(batch, InputTable()).numpy()
    assert shown.shape == (2, 4, 16, 16) and set(np.unique(shown[:, 3])) == {0, 1}
    last = int(batch.valid[0].sum()) - 1
    if last >= 0:
        x, y = (np.clip(batch.positions[0, last].numpy(), 0, 0.999) * 16).astype(int)
        np.testing.assert_allclose(shown[0, 1:3, y, x] * 110, batch.colours[0, last], atol=1e-3)
    assert not input_planes(batch, InputTable(), hinted=False)[:, 1:].any()
    whole = input_planes(batch, InputTable(mask=(-0.5, 0.5)), full_share=1.0)
    np.testing.assert_allclose(whole[:, 1:3] * 110, batch.ab, atol=1e-4)
    assert (whole[:, 3] == 0.5).all()


@pytest.mark.parametrize("network", list(TOPOLOGIES))
def test_a_few_steps_lower_every_loss(network: str, folder: Path) -> None:
    torch.manual_seed(0)
    task = PlanesTask(settings(folder, network))
    batch = a_batch()
    optimiser = torch.optim.Adam(task.network.parameters(), 3e-4)
    history = []
    for _ in range(6):
        task.set_stage(None)
        torch.manual_seed(1)
        terms = task.losses(batch)
        history.append({name: float(value.detach()) for name, value in terms.items()})
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
    assert set(history[0]) == ({"colour"} if network == "siggraph17-global" else {"colour", "distribution"})
    for name, first in history[0].items():
        assert history[-1][name] < first


def test_a_histogram_hint_changes_the_histogram_of_the_output(folder: Path) -> None:
    """The pictures have the same L and are red or blue: only the global hint says which."""
    torch.manual_seed(0)
    task = PlanesTask(settings(folder, "siggraph17-global"))
    L = np.random.default_rng(0).uniform(20, 80, (1, 8, 8))
    colours = np.array([[45.0, 20.0], [-10.0, -40.0]], np.float32)
    ab = np.broadcast_to(colours[[0, 1, 0, 1], :, None, None], (4, 2, 8, 8))
    histograms = [histogram_of(np.ascontiguousarray(one)) for one in ab]
    planes = np.stack([np.concatenate([L, one]) for one in ab]).astype(np.float32)
    batch = make_batch(planes, [], np.stack([GlobalHints(histogram).vector() for histogram in histograms]))
    optimiser = torch.optim.Adam(task.network.parameters(), 3e-4)
    history = []
    with denormals_flushed():
        for _ in range(12):
            loss = task.losses(batch)["colour"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            history.append(float(loss.detach()))
    assert history[-1] < history[0] / 2
    with torch.no_grad():
        given = task.predict(task.network, batch)
    for n, coloured in enumerate(given):
        found = histogram_of(coloured)
        to_asked, to_other = (np.abs(found - histograms[other]).sum() / 2 for other in (n, (n + 1) % 4))
        assert to_asked < to_other, f"picture {n}: {to_asked:.3f} to what was asked, {to_other:.3f} to the other"


def test_stages_decide_which_loss_trains_the_trunk(folder: Path) -> None:
    stages = '[[stages]]\nsteps = 1\nrate = 1e-4\nleads = "classes"\nhints = false\n[[stages]]\nsteps = 1\nrate = 1e-5'
    config = settings(folder, "siggraph17", stages)
    task, taught = PlanesTask(config), {}
    for step, name in ((0, "distribution"), (1, "colour")):
        task.set_stage(config.stage_at(step))
        for loss in ("colour", "distribution"):
            task.network.zero_grad(set_to_none=True)
            task.losses(a_batch(1))[loss].backward()
            taught[step, loss] = task.network.get_parameter("model5.0.weight").grad is not None
        assert taught[step, name]
    assert not taught[0, "colour"] and not taught[1, "distribution"]


def eccv16_weights() -> dict[str, np.ndarray]:
    """A state dict with the entries and shapes of the released ECCV 2016 network, for blocks 1 to 8."""
    weights = {}
    names = {"model8up.0": "model8.0", "model8.1": "model8.2", "model8.3": "model8.4"}
    rng = np.random.default_rng(2)
    for key, shape in TOPOLOGIES["siggraph17"]().shapes().items():
        layer, leaf = key.rsplit(".", 1)
        block = layer.split(".")[0]
        if layer in names or block in {f"model{n}" for n in range(1, 8)}:
            true_shape = (64, 1, 3, 3) if key == "model1.0.weight" else shape
            weights[f"{names.get(layer, layer)}.{leaf}"] = rng.normal(0, 1, true_shape).astype(np.float32)
    weights["model8.6.weight"] = np.zeros((313, 256, 1, 1), np.float32)
    return weights


@pytest.mark.parametrize("network", list(TOPOLOGIES))
def test_conv1_to_conv8_start_from_eccv16(network: str) -> None:
    weights, fresh = eccv16_weights(), planes_network(network)
    hints_before = fresh.get_parameter("model1.0.weight")[:, 1:].detach().clone()
    filled = start_from_eccv16(fresh, weights)
    state = {name: value.numpy() for name, value in fresh.state_dict().items()}
    assert np.array_equal(state["model1.0.weight"][:, :1], weights["model1.0.weight"])
    assert np.array_equal(state["model1.0.weight"][:, 1:], hints_before.numpy())
    assert np.array_equal(state["model7.6.running_var"], weights["model7.6.running_var"])
    assert np.array_equal(state["model8up.0.weight"], weights["model8.0.weight"])
    assert np.array_equal(state["model8.3.bias"], weights["model8.4.bias"])
    started_fresh = {name.split(".")[0] for name in fresh.topology.shapes() if name not in filled}
    assert {"model9up", "model10", "model3short8", "model1short10", "model_out"} <= started_fresh


def test_an_incomplete_eccv16_checkpoint_is_named() -> None:
    weights = eccv16_weights()
    del weights["model8.2.bias"]
    with pytest.raises(ModelFileError, match=r"lacks model8\.2\.bias"):
        start_from_eccv16(planes_network("siggraph17"), weights)


def test_a_run_becomes_a_bundle_that_the_engine_takes(folder: Path) -> None:
    settings(folder, "siggraph17-hypercolumn")
    bundle = run(folder / "run.toml")
    assert bundle.manifest.network == "siggraph17-hypercolumn" and bundle.manifest.trained
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    assert set(log[0]["losses"]) == {"colour", "distribution"}
    with OnnxRunner(bundle, threads=2) as runner:
        ab = runner.colorize(runner.encode(np.full((256, 256), 50, np.float32)), [])
    assert np.isfinite(ab).all()


def test_planes_networks_are_modules_by_name() -> None:
    assert isinstance(planes_network("siggraph17-global"), PlanesNetwork)
