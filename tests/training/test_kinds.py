"""Learning what cells show: room in queries and keys, labels, and a fit to pictures that are easy to tell."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.cli.__main__ import main
from livetint.engine.errors import ConfigError
from livetint.engine.models import find_model
from PIL import Image

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.hint_attention import HEADS, KEY, WIDTH, HintAttention, Hints  # noqa: E402
from livetint.build_engine.networks.kinds import GUARDED, KINDS  # noqa: E402
from livetint.build_engine.touch_bundle import network_of, weights_of  # noqa: E402
from livetint.training import kinds  # noqa: E402
from livetint.training.make_room import make_room  # noqa: E402


def test_room_is_made_and_logits_and_tokens_stay_nearly_the_same():
    torch.manual_seed(2)
    attention = HintAttention().eval()
    # Features with few directions, as photographs have them, so that some products are of no use.
    features = torch.randn(4096, 24) @ torch.randn(24, WIDTH)
    maps = features.T.reshape(1, WIDTH, 64, 64)
    hints = Hints(torch.rand(1, 6, 2), torch.zeros(1, 6, 2), torch.full((1, 6), 5.0), torch.ones(1, 6))

    def answers():
        with torch.no_grad():
            found = attention.maps(maps)
            tokens = attention.tokens(found, hints, torch.zeros(1, 316))
            return tokens.keys @ found.query, tokens.mood, found.key

    (logits, mood, _), error = answers(), make_room(attention, features[::4])
    new_logits, new_mood, key = answers()
    last = key.reshape(HEADS, KEY, -1)[:, KEY - GUARDED :]
    assert float(last.abs().max()) == 0
    assert error < 0.05 * float(logits.std())
    torch.testing.assert_close(new_logits, logits, atol=0.1 * float(logits.std()), rtol=0)
    torch.testing.assert_close(new_mood, mood, atol=1e-3, rtol=1e-3)


def write_labelled(folder, count=3, side=256):
    """Photographs, the left half dark and the right half bright, with labels: skin and plants, the middle unknown."""
    photos, labels = folder / "photos", folder / "labels"
    photos.mkdir()
    labels.mkdir()
    rng = np.random.default_rng(1)

    def photo():
        rgb = rng.integers(0, 20, (side, side, 3), np.uint8) + np.uint8(30)
        rgb[:, side // 2 :] += 170
        return Image.fromarray(rgb)

    for index in range(count):
        label = np.full((side, side), 1, np.uint8)
        label[:, side // 2 :] = 3
        label[:, side // 2 - 8 : side // 2 + 8] = kinds.UNKNOWN
        photo().save(photos / f"{index}.png")
        Image.fromarray(label).save(labels / f"{index}.png")
    photo().save(photos / "without-labels.png")
    return photos, labels


def test_labels_are_read_with_their_photographs_and_nonsense_is_refused(tmp_path):
    photos, labels = write_labelled(tmp_path, 2, 64)
    read = kinds.read_labelled(photos, labels)
    assert len(read) == 2 and all(rgb.shape == (256, 256, 3) and label.shape == (256, 256) for rgb, label in read)
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(labels / "1.png")
    with pytest.raises(ConfigError, match=r"1\.png holds other values than 0 to 6 and 255"):
        kinds.read_labelled(photos, labels)
    with pytest.raises(ConfigError, match="holds no labels"):
        kinds.read_labelled(photos, tmp_path)


def test_cells_with_too_little_labelled_teach_nothing():
    label = np.full((8, 8), kinds.UNKNOWN, np.uint8)
    label[:4, :4] = 1
    label[:3, 4:] = 2
    label[0, 0] = 0
    label[4:, 4:6] = 3
    shares = kinds.cell_shares(label)
    np.testing.assert_allclose(shares[0, 0], [1 / 16, 15 / 16, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(shares[0, 1], [0, 0, 1, 0, 0, 0, 0])
    assert not shares[1].any()


def test_the_command_learns_kinds_from_labels(tmp_path, monkeypatch):
    photos, labels = write_labelled(tmp_path)
    fit = kinds.fit_kinds
    found = []

    def short(network, labelled, tick):
        found.append(fit(network, labelled, frames=6, steps=60, tick=tick))
        return found[-1]

    monkeypatch.setattr("livetint.training.adjust.fit_kinds", short)
    monkeypatch.setattr("livetint.build_engine.gate.check_new_bundle", lambda bundle, say: None)
    new = tmp_path / "new"
    main(["models", "adjust", "touch", "-o", str(new), "--version", "x", "--guard", "20,9,5,12", "--kinds", str(labels),
          "--photos", str(photos)])  # fmt: skip
    assert found[0] > 0.9
    weights, old = weights_of(find_model(str(new))), weights_of(find_model("touch"))
    np.testing.assert_allclose(weights["attention.guard"] ** 2, np.broadcast_to([20, 9, 5, 12], (HEADS, 4)), rtol=1e-3)
    changed = {name for name in weights if name not in old or not torch.equal(weights[name], old[name])}
    parts = ("query.", "key.", "token.", "kinds.", "guard")
    assert all(name.removeprefix("attention.").startswith(parts) for name in changed)
    assert f"probability of {found[0]:.2f}" in find_model(str(new)).files["MODEL_CARD.md"].decode()
    network = network_of(find_model(str(new)))
    L = torch.full((1, 1, 256, 256), 12.0)
    L[..., 128:] = 80
    with torch.no_grad():
        shown = network.attention.kinds(network.encoder(L)).argmax(1)[0]
    assert (shown[:, :28] == KINDS.index("skin")).float().mean() > 0.9
    assert (shown[:, 36:] == KINDS.index("plants")).float().mean() > 0.9
