"""Training: settings, losses, and a short real run that resumes and becomes a bundle."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from livetint.cli.__main__ import main
from livetint.engine.errors import ConfigError, ModelFileError
from livetint.engine.models import find_model

from ..disk import watch_disk
from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.efficientnet_lite import BACKBONES, Block  # noqa: E402
from livetint.build_engine.touch_bundle import backbone_of, weights_of  # noqa: E402
from livetint.engine import GlobalHints, Hint, OnnxRunner  # noqa: E402
from livetint.training.config import Augmentation, load_config  # noqa: E402
from livetint.training.draws import Draws  # noqa: E402
from livetint.training.losses import cross_entropy, huber, picture_error  # noqa: E402
from livetint.training.run import run  # noqa: E402
from livetint.training.soft_bins import SoftBins  # noqa: E402
from livetint.training.tasks import TouchTask, pixel_weights  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from .pictures import batch_of, lone_batch, squares, write_settings  # noqa: E402


def test_a_run_resumes_starts_from_a_bundle_and_becomes_a_bundle(folder):
    first = run(write_settings(folder, steps=2), init="touch")
    log = (folder / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [2]
    steps: list[tuple[int, int, str]] = []
    run(write_settings(folder, steps=4), resume=True, progress=lambda *step: steps.append(step))
    assert [step[:2] for step in steps] == [(3, 4), (4, 4)]
    assert "gain dB 0:" in steps[-1][2], "the last checkpoint is shown"
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]
    assert set(log[-1]["gain_db"]) == {"0", "1", "10", "100"}
    card = first.files["MODEL_CARD.md"].decode()
    assert "test pictures" in card and "Started from: touch" in card
    with OnnxRunner(first, threads=1) as runner:
        L = np.full((256, 256), 50, np.float32)
        ab = runner.colorize(runner.encode(L), [Hint(0.5, 0.5, 20, 20)], GlobalHints(saturation=0.5))
    assert np.isfinite(ab).all() and np.linalg.norm(ab[:, 128, 128] - 20) < 3


def test_checkpoints_are_synced_before_they_replace_the_ones_before(folder, monkeypatch):
    log = watch_disk(monkeypatch, folder / "run")
    run(write_settings(folder, steps=1), init="touch")
    for name in ("averaged.safetensors", "state.pt", "log.jsonl"):
        renamed = log.events.index(("rename", name))
        assert log.events[renamed - 1 : renamed + 2] == [("sync", "temporary"), ("rename", name), ("sync", ".")]
    assert sorted(path.name for path in (folder / "run").iterdir()) == [
        "averaged.safetensors", "bundle", "log.jsonl", "state.pt",
    ]  # fmt: skip


def test_training_from_a_bundle_starts_with_its_weights(folder):
    """One step at almost no rate does not change the bundled weights."""
    path = write_settings(folder, steps=1)
    path.write_text(path.read_text().replace("rate = 3e-4", "rate = 1e-9"))
    run(path, init="touch")
    ended = load_file(folder / "run" / "averaged.safetensors")
    for name, weight in weights_of(find_model("touch")).items():
        torch.testing.assert_close(ended[name], weight, atol=1e-4, rtol=1e-3)


def test_a_frozen_encoder_does_not_change_while_the_attention_is_trained(folder):
    path = write_settings(folder, steps=2)
    path.write_text(path.read_text().replace("rate = 3e-4", "rate = 1e-3\nencoder_rate = 0.0\nbackbone_rate = 0.0"))
    task = TouchTask(load_config(path))
    bundle = run(path, init="touch")
    before, after = weights_of(find_model("touch")), weights_of(bundle)
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved and not [name for name in moved if name.startswith("encoder.")]
    assert not [name for name, weight in task.network.encoder.named_parameters() if weight.requires_grad]


def test_only_the_named_weights_are_trained(folder):
    path = write_settings(folder, steps=2)
    path.write_text(path.read_text().replace("rate = 3e-4", 'rate = 1e-3\nonly = ["attention.global_"]'))
    path.write_text(path.read_text().replace("max_hints = 12", "max_hints = 0\nglobal_share = 1.0"))
    before, after = weights_of(find_model("touch")), weights_of(run(path, init="touch"))
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved == {"attention.global_hidden.weight", "attention.global_mood.weight"}


def test_recoloured_pictures_do_not_train_the_automatic_colours(folder):
    """The automatic colours and the automatic distribution get no gradient from them; the reach of hints does."""
    task = TouchTask(load_config(write_settings(folder, steps=1)))
    settings = Augmentation(crop_px=64, recoloured=1.0, uniform_counts=1.0, max_hints=12, global_share=0.0)
    batch = batch_of(squares(), 2, settings, 2)
    assert not batch.natural.any() and batch.valid.sum() > 0
    torch.stack(list(task.losses(batch).values())).sum().backward()
    attention = task.network.attention
    learned = {
        name: weight.grad is not None and bool(weight.grad.any()) for name, weight in attention.named_parameters()
    }
    assert learned["key.weight"]
    assert not learned["base.weight"] and not learned["bins.weight"]


def test_resuming_without_a_checkpoint_is_refused(folder):
    with pytest.raises(ModelFileError, match="nothing to resume"):
        run(write_settings(folder, steps=2), resume=True)


@pytest.mark.parametrize("damage", ["another network", "half", "empty", "something else"])
def test_a_checkpoint_that_cannot_be_resumed_is_refused_in_one_line(folder, damage):
    run(write_settings(folder, steps=1), init="touch")
    path = folder / "run" / "state.pt"
    if damage == "another network":
        state = torch.load(path, weights_only=True)
        torch.save({**state, "network": {"weight": torch.zeros(2)}}, path)
    else:
        data = path.read_bytes()
        path.write_bytes({"half": data[: len(data) // 2], "empty": b"", "something else": b"hello" * 99}[damage])
    with pytest.raises(ModelFileError, match=r"cannot be resumed \(.*\); start without --resume") as caught:
        run(write_settings(folder, steps=2), resume=True)
    assert "\n" not in str(caught.value)


def test_the_average_forgets_the_first_weights(folder):
    """After one step the initial weights are a tenth of the average."""
    run(write_settings(folder, steps=1), init="touch")
    before = weights_of(find_model("touch"))
    after = torch.load(folder / "run" / "state.pt", weights_only=True)["network"]
    for name, average in load_file(folder / "run" / "averaged.safetensors").items():
        if average.dtype.is_floating_point and name in before:
            torch.testing.assert_close(average, torch.lerp(before[name], after[name], 0.9), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch = 2", "batsh = 2", "batsh"),
        ('name = "touch"', 'name = "tuch"', "network tuch has no choice of backbones"),
        ('[network]\nname = "touch"\nbackbone = "{backbone}"', "[network]", r"\[network\] has no name"),
        ('name = "touch"', 'name = "touch"\nbone = "lite2"', r"\[network\] has the unknown key bone"),
        ("threads = 1", 'backbone = "lite2"', r"backbone is a key of the table \[network\]"),
        ('backbone = "{backbone}"', 'backbone = "lite9"', "'lite9' is unknown; it is one of lite0, lite1, lite2"),
        ("steps = 2", 'steps = "many"', "steps"),
        ("steps = 2", 'steps = 2\nonly = ["attention.globe"]', "attention.globe"),
        ("[data]", "[data", "TOML"),
        ("/photos", "/elsewhere", "neither a folder"),
        ("threads = 1", 'device = "cuda"', "no NVIDIA GPU|cuda"),
        ("threads = 1", 'bf16 = "maybe"', "bf16"),
    ],
)
def test_wrong_settings_are_named(folder, old, new, said):
    if 'device = "cuda"' in new and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    path = write_settings(folder, steps=2)
    path.write_text(path.read_text().replace(old.format(backbone=backbone_of(find_model("touch"))), new))
    with pytest.raises(ConfigError, match=said):
        run(path)
    assert not (folder / "run").exists()


@pytest.mark.parametrize("network", ["tuch", "touch"])
def test_a_training_file_may_name_the_network_alone(folder, network):
    """`touch` then has Lite 0."""
    path = write_settings(folder, steps=1)
    text = path.read_text()
    start, end = text.index("[network]"), text.index("[card]")
    path.write_text(f'network = "{network}"\n{text[:start]}{text[end:]}')
    if network == "touch":
        assert TouchTask(load_config(path)).network.backbone == "lite0"
    else:
        with pytest.raises(ConfigError, match="network 'tuch' cannot be trained"):
            run(path)


def test_another_backbone_than_that_of_the_start_is_refused(folder):
    path, own = write_settings(folder, steps=1), backbone_of(find_model("touch"))
    other = next(name for name in BACKBONES if name != own)
    path.write_text(path.read_text().replace(f'backbone = "{own}"', f'backbone = "{other}"'))
    with pytest.raises(ConfigError, match=f"has the backbone {own}, the training file {other}; write"):
        run(path, init="touch")


def test_every_shipped_configuration_is_valid():
    from importlib.resources import files

    found = [p for p in files("livetint.training").iterdir() if p.name.endswith(".toml")]
    assert found
    for path in found:
        load_config(str(path))


def test_huber_is_quadratic_then_linear():
    zero = torch.zeros(1, 2, 4, 4)
    assert huber(zero + 0.5, zero).item() == pytest.approx(2 * 0.125)
    assert huber(zero + 3.0, zero).item() == pytest.approx(2 * 2.5)


def test_the_error_in_decibels_is_averaged_over_pictures():
    """Of two pictures, one has ten times the error: the result is the mean of their dB, not the dB of their mean."""
    true = torch.zeros(2, 2, 4, 4)
    predicted = torch.stack([torch.full((2, 4, 4), 3.0), torch.full((2, 4, 4), 30.0)])
    every = torch.ones(2)
    assert picture_error(predicted, true, every).item() == pytest.approx(5 * np.log10(10.0 * 901.0), rel=1e-5)
    assert picture_error(predicted, true, torch.tensor([0.0, 1.0])).item() == pytest.approx(
        10 * np.log10(901), rel=1e-5
    )
    assert picture_error(predicted, true, torch.zeros(2)).item() == 0


def test_cross_entropy_is_least_at_the_truth():
    truth = torch.tensor([[0.7, 0.3]])
    target = SoftBins(torch.tensor([[1, 0]]), torch.tensor([[0.3, 0.7]]))
    best = cross_entropy(truth, target)
    assert cross_entropy(torch.tensor([[0.6, 0.4]]), target) > best
    assert torch.isfinite(cross_entropy(torch.tensor([[0.0, 1.0]]), target))


def test_outside_a_lone_region_the_automatic_colours_are_the_target(folder):
    """Inside its region such a picture is compared with its colours, outside with those that it has without hints."""
    task = TouchTask(load_config(write_settings(folder, steps=1)))
    batch = lone_batch()
    lone = batch.lone()
    before = replace(batch, valid=torch.zeros_like(batch.valid))
    with torch.no_grad():
        automatic = torch.from_numpy(task.predict(task.network.eval(), before))
        predicted = torch.from_numpy(task.predict(task.network, batch))
    shown = batch.ab * batch.touched + automatic * (1 - batch.touched)
    settings, losses = task.config.losses, task.losses(batch)
    expected = huber(predicted, shown, pixel_weights(batch.touched, settings.lone, settings.inside))
    torch.testing.assert_close(losses["huber"], settings.huber * expected, atol=1e-3, rtol=1e-4)
    expected = picture_error(predicted, batch.ab, (~lone).float())
    torch.testing.assert_close(losses["picture"], settings.picture * expected, atol=1e-3, rtol=1e-4)
    blind = task.losses(replace(batch, touched=torch.ones_like(batch.touched)))
    assert lone.any() and abs(float(blind["huber"].detach() - losses["huber"].detach())) > 1e-3


def test_pictures_beyond_the_first_are_learned_whole(folder):
    """Losses of a batch whose regions are told for the first pictures alone are those with all of them told."""
    task = TouchTask(load_config(write_settings(folder, steps=1)))
    batch = lone_batch()
    natural = replace(batch, touched=torch.cat([batch.touched[:2], torch.ones_like(batch.touched[2:])]))
    torch.manual_seed(0)
    with torch.no_grad():
        every = task.losses(replace(natural, draws=Draws(torch.device("cpu"), 1)))
        first = task.losses(replace(natural, touched=natural.touched[:2], draws=Draws(torch.device("cpu"), 1)))
    torch.testing.assert_close(first, every)


def test_the_weight_of_a_lone_region_does_not_depend_on_its_size():
    touched = torch.ones(2, 1, 8, 8)
    touched[1] = 0
    touched[1, 0, :2, :2] = 1
    for inside in (0.5, 0.75):
        whole, lone = pixel_weights(touched, 3.0, inside)
        assert (whole == 1).all()
        assert float(lone[0, :2, :2].sum()) == pytest.approx(3 * inside * 64)
        assert float(lone.sum()) == pytest.approx(3 * 64)


def test_unknown_keys_are_errors_everywhere():
    with pytest.raises(msgspec.ValidationError, match="unknown"):
        msgspec.convert({"crop": 3}, Augmentation)


def test_the_benchmark_measures_the_parts_of_a_run(folder, monkeypatch, capsys):
    monkeypatch.setattr("livetint.training.benchmark.SECONDS", 0.0)
    main(["train", str(write_settings(folder, steps=2)), "--benchmark"])
    lines = capsys.readouterr().out.splitlines()
    names = ["batches", "steps in float32", "batches and steps"]
    assert [line[:20].rstrip() for line in lines if "bf16" not in line] == names
    assert all(re.search(r" [\d.]+ pictures a second, +[\d.]+ ms of CPU time each$", line) for line in lines)
    assert not (folder / "run").exists(), "nothing is written"


def test_depthwise_convolutions_stay_in_float32_on_a_cpu():
    """Their gradients are slow in bf16 there; all else is computed in bf16."""
    block = Block(8, 3, 1, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(1, 8, 16, 16)
        assert block.depthwise(torch.randn(1, 48, 16, 16)).dtype == torch.float32
        assert block.project(torch.randn(1, 48, 16, 16)).dtype == torch.bfloat16
        torch.testing.assert_close(block(x).float(), block.float()(x).float())
    torch.testing.assert_close(block(x), block(x).float())


def test_crops_of_the_second_half_have_another_side(folder, monkeypatch):
    sides: list[int] = []
    losses = TouchTask.losses
    monkeypatch.setattr(TouchTask, "losses", lambda task, batch: sides.append(batch.L.shape[-1]) or losses(task, batch))
    path = write_settings(folder, steps=4)
    path.write_text(path.read_text().replace("crop_px = 64", "crop_px = 32\nlate_crop_px = 64"))
    run(path)
    assert sides == [32, 32, 64, 64]
