"""Import a published checkpoint as a bundle."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine.bundle import Bundle, write_bundle
from ..engine.errors import ConfigError, ModelFileError
from ..engine.files import sha256_of
from .planes_bundle import DEFAULT_MASK, MASKS, check_weights, planes_files, planes_manifest, topology_of

MAX_BYTES = 1 << 30
UNPICKLE_SECONDS = 300
AUTO = "auto"
# Not confirmed by a download yet. The name of the file confirms the first eight digits.
RELEASED_DIGEST = "df00044c0a4d7c3edcecf6f75437ce346a66e7a42612d9b968e1a7e17dbc6f66"
# Checkpoints whose mask convention is known, by the name they are published under.
MASK_BY_NAME = {
    "siggraph17-df00044c.pth": "zero-one",
    "caffemodel.pth": "zero-one",
    "pytorch.pth": "centred",
}
MASK_BY_DIGEST = {RELEASED_DIGEST: "zero-one"}
COUNTER = "num_batches_tracked"


def import_checkpoint(
    checkpoint: Path,
    network: str,
    folder: Path,
    mask: str = AUTO,
    licence: str = "that of the checkpoint",
    data: str = "not stated in the checkpoint",
) -> Bundle:
    """Read `checkpoint` (.pth or .safetensors) as `network` and write a bundle to `folder`, whole or not at all.

    mask: zero-one, centred, or auto for published checkpoints, which are known by digest or file name.
    Raises ModelFileError for files that do not fit and ConfigError where the mask convention must be stated.
    """
    topology = topology_of(network)
    hints = topology.inputs["planes"] == 4
    convention = mask_convention(checkpoint, mask) if hints else DEFAULT_MASK
    weights = read_weights(checkpoint)
    check_weights({k: v.shape for k, v in weights.items()}, topology.shapes())
    manifest = planes_manifest(network, version_of(checkpoint), licence, data, trained=True, mask=convention)
    return write_bundle(folder, manifest, planes_files(network, weights))


def version_of(checkpoint: Path) -> str:
    """The version of the bundle: the first eight digits of the checkpoint's SHA-256."""
    return sha256_of(_bytes(checkpoint))[:8]


def mask_convention(checkpoint: Path, mask: str) -> str:
    """The key of MASKS that a checkpoint was trained with. `auto` knows the published checkpoints and does not guess.

    Raises ConfigError for unknown conventions, and for `auto` with an unknown checkpoint.
    """
    if mask != AUTO:
        if mask not in MASKS:
            raise ConfigError(f"there is no mask convention {mask!r}; known are {', '.join(MASKS)} and {AUTO}")
        return mask
    known = MASK_BY_DIGEST.get(sha256_of(_bytes(checkpoint))) or MASK_BY_NAME.get(checkpoint.name)
    if known is None:
        raise ConfigError(
            f"{checkpoint.name} is no published checkpoint, so its mask convention is not known; say --mask zero-one "
            "(the paper's and the converted weights) or --mask centred (retrained with colorization-pytorch)"
        )
    return known


def read_weights(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Entry → float32 weights of a .safetensors file, or of a .pth file, which a limited child process reads.

    The step counters of BatchNorms are left out. Raises ModelFileError for anything but finite tensors.
    """
    if not checkpoint.is_file():
        raise ModelFileError(f"{checkpoint} does not exist; check the path")
    size = checkpoint.stat().st_size
    if size > MAX_BYTES:
        raise ModelFileError(f"{checkpoint} has {size >> 20} MB; checkpoints of these networks have about 140 MB")
    if checkpoint.suffix == ".safetensors":
        weights = _read_safetensors(checkpoint, checkpoint)
    elif checkpoint.suffix in (".pth", ".pt"):
        with tempfile.TemporaryDirectory(prefix="livetint-") as folder:
            converted = Path(folder) / "weights.safetensors"
            _unpickle(checkpoint, converted)
            weights = _read_safetensors(converted, checkpoint)
    else:
        raise ModelFileError(f"{checkpoint} is neither .pth nor .safetensors; convert it first")
    kept = {key: value for key, value in weights.items() if not key.endswith(f".{COUNTER}")}
    for key, value in kept.items():
        if not np.isfinite(value).all():
            raise ModelFileError(f"{checkpoint} is damaged: {key} holds numbers that are not finite; fetch it again")
    return {key: value.astype(np.float32) for key, value in kept.items()}


def _read_safetensors(path: Path, shown: Path) -> dict[str, NDArray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError as error:
        raise ConfigError(f"importing weights needs {error.name}: pip install 'livetint[train]'") from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{shown} cannot be read as safetensors ({error}); fetch it again") from error


def _unpickle(source: Path, target: Path) -> None:
    """Convert a pickle to safetensors in a limited child process. Nothing else in this package opens a pickle."""
    module = f"{__package__}.unpickle"
    command = [sys.executable, "-I", "-m", module, str(source.resolve()), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=UNPICKLE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"{source} took longer than {UNPICKLE_SECONDS} s to read; it is no checkpoint") from error
    if done.returncode != 0 or not target.is_file():
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"the reading process ended with code {done.returncode}"
        raise ModelFileError(f"{source} cannot be imported: {reason}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}; check the path") from error
