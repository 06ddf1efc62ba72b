"""Importing checkpoints as bundles: what is accepted, what is refused, and that pickles are opened only with limits."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from livetint.build_engine.checkpoint import import_checkpoint, mask_convention, read_weights
from livetint.build_engine.networks import TOPOLOGIES
from livetint.build_engine.planes_bundle import planes_weights
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ConfigError, LivetintError, ModelFileError

from ..needs import needs
from .networks_common import recipe_weights

pytestmark = needs("torch")


def save_pth(path: Path, network: str = "siggraph17", **changes: object) -> Path:
    """A checkpoint as torch writes it; `changes` replace entries, None removes them (dots as `__`)."""
    import torch

    state: dict[str, object] = {k: torch.from_numpy(v) for k, v in recipe_weights(network).items()}
    state["model1.4.num_batches_tracked"] = torch.tensor(7)
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    torch.save(state, path)
    return path


def test_a_checkpoint_becomes_a_bundle_with_its_weights_and_its_mask(tmp_path: Path) -> None:
    checkpoint = save_pth(tmp_path / "pytorch.pth")
    import_checkpoint(checkpoint, "siggraph17", tmp_path / "bundle")
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.manifest.input.mask == (-0.5, 0.5)
    assert bundle.manifest.trained and bundle.manifest.distribution is not None
    assert bundle.manifest.distribution.bins == "grid-529"
    read_back, expected = planes_weights(bundle), recipe_weights("siggraph17")
    assert read_back.keys() == expected.keys()
    assert all(np.array_equal(read_back[key], expected[key]) for key in expected)


def test_safetensors_are_read_without_a_pickle(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "weights.safetensors"
    save_file(recipe_weights("siggraph17-global"), path)
    bundle = import_checkpoint(path, "siggraph17-global", tmp_path / "global")
    assert bundle.manifest.input.takes_global and not bundle.manifest.input.local


@pytest.mark.parametrize(
    ("name", "mask"),
    [("siggraph17-df00044c.pth", "zero-one"), ("caffemodel.pth", "zero-one"), ("pytorch.pth", "centred")],
)
def test_the_mask_convention_of_published_checkpoints_is_known(tmp_path: Path, name: str, mask: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert mask_convention(tmp_path / name, "auto") == mask
    assert mask_convention(tmp_path / name, "centred") == "centred"


def test_the_mask_of_an_unknown_checkpoint_has_to_be_stated(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match="--mask zero-one"):
        import_checkpoint(tmp_path / "mine.pth", "siggraph17", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_missing_unknown_and_misshapen_entries_are_named(tmp_path: Path) -> None:
    import torch

    path = save_pth(
        tmp_path / "caffemodel.pth", model10__1__bias=None, extra=torch.zeros(2), model_out__0__bias=torch.zeros(3)
    )
    with pytest.raises(ModelFileError) as caught:
        import_checkpoint(path, "siggraph17", tmp_path / "bundle")
    for part in ("missing: model10.1.bias", "unknown: extra", "model_out.0.bias is 3, expected 2"):
        assert part in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["caffemodel.pth"]


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    import torch

    path = save_pth(tmp_path / "caffemodel.pth", model_out__0__bias=torch.tensor([0.0, float("nan")]))
    with pytest.raises(ModelFileError, match=r"model_out\.0\.bias"):
        read_weights(path)


class _Evil:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.touched),)


@pytest.mark.parametrize("through_torch", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, through_torch: bool) -> None:
    import torch

    path = tmp_path / "evil.pth"
    if through_torch:
        torch.save({"model1.0.weight": _Evil(tmp_path / "owned")}, path)
    else:
        path.write_bytes(pickle.dumps(_Evil(tmp_path / "owned")))
    with pytest.raises(ModelFileError, match="weights alone"):
        read_weights(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".zip"])
def test_anything_else_is_one_clear_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "list.pth"
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ModelFileError, match="expected a state dict"):
        read_weights(path)


def test_memory_is_limited_while_unpickling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that claims more memory than any checkpoint needs ends the child, not the caller."""
    import torch

    path = tmp_path / "huge.pth"
    torch.save({"a": torch.zeros(1).expand(1 << 31)}, path)  # 4 bytes in the file, 8 GiB in memory
    with pytest.raises(ModelFileError, match="cannot be imported"):
        read_weights(path)


def test_only_the_child_process_opens_pickles() -> None:
    root = Path(__file__).parents[2]
    openers = []
    for room in ("engine", "build_engine", "calibration", "bench", "cli", "kiosk"):
        for path in (root / room).rglob("*.py"):
            text = path.read_text("utf-8")
            if "torch.load(" in text or "import pickle" in text or "pickle.load" in text:
                openers.append(path.name)
    assert openers == ["unpickle.py"]


def test_unknown_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LivetintError, match=", ".join(TOPOLOGIES)):
        import_checkpoint(tmp_path / "x.pth", "nothing", tmp_path / "bundle")
