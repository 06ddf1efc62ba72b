"""Model bundles: a folder with `model.toml` and ONNX files, and the SHA-256 of every file.

Nothing in a bundle is ever unpickled. Files that `model.toml` does not list are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .colour import bins
from .errors import ConfigError, ModelFileError, OutputError
from .files import read_toml, sha256_of, write_folder
from .inputs import AB_SCALE

MANIFEST = "model.toml"
SCHEMA = 1
STAGE_NAMES = ("encoder", "touch", "colour", "distribution")


class InputTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a photograph and hints become network input.

    working_size: [H, W]. kind: "hints" (hint tensors, staged) or "planes". light: network L = (L − first) / second.
    ab_scale: network ab = ab / ab_scale. mask: the mask's value without and with a hint. max_hints: 0 for no limit.
    takes_global: whether the network takes global hints. local: whether it takes hints at points.
    """

    working_size: tuple[int, int] = (256, 256)
    kind: str = "planes"
    light: tuple[float, float] = (50.0, 100.0)
    ab_scale: float = AB_SCALE
    mask: tuple[float, float] = (0.0, 1.0)
    max_hints: int = 0
    takes_global: bool = msgspec.field(default=False, name="global")
    local: bool = True


class OutputTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Network output × ab_scale = ab in CIELAB units."""

    ab_scale: float = 1.0


class DistributionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bins: "in-gamut-313" or "grid-529". gives: "logits" at quarter resolution or "probabilities" at points.

    temperature_scale: suggestions use softmax(scale · logits), for probabilities p^scale renormalised.
    """

    bins: str
    gives: str
    temperature_scale: float = 1.0

    @property
    def centres(self) -> NDArray[np.float32]:
        """Bin centres float32 [bins, 2] in CIELAB units."""
        return bins.BINS[self.bins]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of model.toml.

    backbone: of `touch`; "" for networks without a choice, and in old bundles. The file has network and backbone in one
    table: `[network]` with `name` and `backbone`; without a backbone, `network = "name"`. restorer: the ONNX file that
    restores L before the encoder (`runners/restorer.py`), and ranges the file of ranges for INT8; "" for none.
    """

    name: str
    network: str
    version: str
    licence: str
    data: str
    trained: bool
    input: InputTable
    stages: dict[str, str]
    files: dict[str, str] = {}
    output: OutputTable = OutputTable()
    distribution: DistributionTable | None = None
    touch_form: str = ""
    backbone: str = ""
    ranges: str = ""
    restorer: str = ""
    schema: int = SCHEMA


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `files`: name → contents. They are the bytes that were verified, not read a second time."""

    folder: Path
    manifest: Manifest
    files: Mapping[str, bytes]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def digest(self) -> str:
        """The SHA-256 of the bundle: that of the lines `digest  file` of all its files, sorted by name."""
        lines = [f"{digest}  {name}\n" for name, digest in sorted(self.manifest.files.items())]
        return sha256_of("".join(lines).encode())

    def stage(self, name: str) -> bytes:
        """The ONNX file of a stage. Raises ModelFileError if the bundle does not have it."""
        if name not in self.manifest.stages:
            raise ModelFileError(f"model {self.name} has no {name} stage; it offers {', '.join(self.manifest.stages)}")
        return self.files[self.manifest.stages[name]]

    @property
    def stage_files(self) -> dict[str, bytes]:
        """The ONNX files of all stages by file name, those that are there; one file may serve two stages."""
        return {file: self.files[file] for file in self.manifest.stages.values() if file in self.files}

    @property
    def restorer_files(self) -> dict[str, bytes]:
        """The ONNX file of the restorer by its name; empty for bundles without one."""
        name = self.manifest.restorer
        return {name: self.files[name]} if name else {}

    @property
    def restorer(self) -> bytes | None:
        """The ONNX file of the restorer; None for bundles without one."""
        return self.restorer_files.get(self.manifest.restorer)

    def has(self, stage: str) -> bool:
        """Whether the bundle has this stage."""
        return stage in self.manifest.stages

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """Read and verify a bundle folder. Raises ModelFileError if it is missing, incomplete or damaged."""
        folder = Path(folder)
        manifest = load_manifest(folder)
        files = {name: _verified(folder, name, digest) for name, digest in manifest.files.items()}
        return cls(folder, manifest, files)


def load_manifest(folder: Path) -> Manifest:
    """Read and check model.toml alone; files and their digests are not read. Raises ModelFileError."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelFileError(f"{folder} is not a model bundle: it has no {MANIFEST}; see `livetint models list`")
    try:
        manifest = msgspec.convert(network_and_backbone(read_toml(path)), Manifest)
    except (ConfigError, msgspec.ValidationError) as error:
        raise ModelFileError(f"{path} cannot be used: {error}; fetch or import the model again") from error
    problem = next(_problems(manifest), None)
    if problem:
        raise ModelFileError(f"{path} cannot be used: {problem}; fetch or import the model again")
    return manifest


def network_and_backbone(table: Mapping[str, Any]) -> dict[str, Any]:
    """A TOML file's contents with the table `[network]`, if it has one, as the two keys `network` and `backbone`.

    Raises ConfigError for other keys in that table, and for a backbone outside of it.
    """
    flat, network = dict(table), table.get("network")
    if "backbone" in table:
        raise ConfigError("backbone is a key of the table [network]")
    if isinstance(network, dict):
        if unknown := network.keys() - {"name", "backbone"}:
            raise ConfigError(f"[network] has the unknown key {sorted(unknown)[0]}; it takes name and backbone")
        if "name" not in network:
            raise ConfigError("[network] has no name")
        flat["network"], flat["backbone"] = network["name"], network.get("backbone", "")
    return flat


def _problems(manifest: Manifest) -> Iterator[str]:
    """What makes a manifest unusable, one sentence each."""
    if manifest.schema != SCHEMA:
        yield f"its schema is {manifest.schema}, this version reads {SCHEMA}"
    if manifest.input.kind not in ("hints", "planes"):
        yield f"input.kind is {manifest.input.kind!r}, expected hints or planes"
    if manifest.distribution and manifest.distribution.bins not in bins.BINS:
        yield f"distribution.bins is {manifest.distribution.bins!r}, expected one of {', '.join(bins.BINS)}"
    if manifest.distribution and manifest.distribution.gives not in ("logits", "probabilities"):
        yield f"distribution.gives is {manifest.distribution.gives!r}, expected logits or probabilities"
    needed = ("encoder", "touch") if manifest.input.kind == "hints" else ("colour",)
    for stage in needed:
        if stage not in manifest.stages:
            yield f"stage {stage!r} is missing"
    for stage, file in manifest.stages.items():
        if stage not in STAGE_NAMES:
            yield f"stage {stage!r} is unknown, expected one of {', '.join(STAGE_NAMES)}"
        if file not in manifest.files:
            yield f"the file of stage {stage!r}, {file}, is not listed under [files]"
    for file in manifest.files:
        if Path(file).name != file:
            yield f"{file!r} is not a plain file name"
    for file in (manifest.ranges, manifest.restorer):
        if file and file not in manifest.files:
            yield f"{file} is not listed under [files]"
    if manifest.restorer and manifest.input.kind != "hints":
        yield "it has a restorer, which only a model with an encoder can have"


def _verified(folder: Path, name: str, digest: str) -> bytes:
    """The contents of a file of the bundle. Raises ModelFileError where its SHA-256 is not `digest`."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"{folder / name} cannot be read: {error.strerror}; fetch or import the model again"
        ) from error
    found = sha256_of(data)
    if found != digest:
        raise ModelFileError(
            f"{folder / name} is damaged: SHA-256 {found[:12]}…, {MANIFEST} says {digest[:12]}…; "
            "fetch or import the model again"
        )
    return data


def write_bundle(
    folder: str | Path, manifest: Manifest, files: Mapping[str, bytes], unlisted: Mapping[str, bytes] | None = None
) -> Bundle:
    """Write a bundle whole or not at all.

    The digests in `manifest.files` are computed from `files`. unlisted: further files for the folder, which model.toml
    does not list. An existing bundle at `folder` is replaced. Raises OutputError for any other folder that is not
    empty, and when the disk is full or read-only.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; choose a new folder")
    if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists and is not a model bundle; choose a new folder")
    pinned = msgspec.structs.replace(manifest, files={n: sha256_of(d) for n, d in sorted(files.items())})
    write_folder(folder, {**(unlisted or {}), **files, MANIFEST: manifest_text(pinned)})
    return Bundle(folder, pinned, dict(files))


def manifest_text(manifest: Manifest) -> bytes:
    """The contents of model.toml. Keys whose value is None are left out: TOML has no null."""
    table = msgspec.to_builtins(manifest)
    if backbone := table.pop("backbone"):
        table["network"] = {"name": table["network"], "backbone": backbone}
    return msgspec.toml.encode({key: value for key, value in table.items() if value is not None})
