"""The settings of a training run: one TOML file, one typed table. Unknown keys are errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..engine.bundle import network_and_backbone
from ..engine.errors import ConfigError
from ..engine.files import read_toml


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sources: folders or tar files, relative to the working directory. held_out: the same, for the curve in the log.
    side_px: photographs are squashed to this side and kept in memory. limit: at most this many; 0 for all."""

    sources: list[str]
    held_out: list[str]
    side_px: int = 256
    held_out_limit: int = 40
    limit: int = 0


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """crop_px: side of the training crop; late_crop_px: its side in the second half of the schedule, 0 for the same.
    min_crop: its smallest share of the photograph's side. recoloured: share of
    photographs with recoloured regions. lone_region: share in which one region is recoloured and has all the hints,
    while everything else should keep its colours (`touch` only). aged: share whose lightness is that of an old print.
    uniform_counts: share of batches with uniform numbers of hints; the others are geometric with parameter geometric_p
    and mean (1 − p) / p. max_hints: the largest number. full_reveal: share of pictures revealed whole (networks of
    planes only). global_share: share in which each global statistic is revealed."""

    crop_px: int = 128
    late_crop_px: int = 0
    min_crop: float = 0.7
    recoloured: float = 0.25
    lone_region: float = 0.0
    aged: float = 0.0
    uniform_counts: float = 0.2
    geometric_p: float = 1 / 8
    max_hints: int = 119
    full_reveal: float = 0.01
    global_share: float = 0.5


class Optimiser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AdamW with a warm-up and a cosine to zero over `steps`. A run that is given fewer minutes spends the same shares
    of them on both. encoder_rate, backbone_rate: shares of the rate for the encoder of `touch` and for the backbone
    inside it; with 0 for both only the attention is trained, and a step takes less than half the time. only: prefixes
    of the names of the weights to train; empty for all. average: decay of the exponential moving average of the
    weights, which is exported."""

    steps: int
    batch: int = 16
    rate: float = 1.2e-3
    encoder_rate: float = 1.0
    backbone_rate: float = 0.15
    only: list[str] = []
    warm_up_steps: int = 200
    weight_decay: float = 0.02
    average: float = 0.999
    clip: float = 1.0


class Losses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """huber: weight of the Huber loss. In pictures with a lone region it is multiplied by `lone`, and the region has
    the part `inside` (0…1) of it. coarse: weight of the Huber loss before upsampling. picture: weight of the mean error
    of a picture in dB. distribution: weight of the cross-entropy, at `distribution_points` cells per picture.
    distribution_gradient: whether the cross-entropy also trains the features.
    maps, answer, lightness: of a restorer alone: the weights of the distance between the encoder's maps, of the mean
    squared difference between the answers to hints in CIELAB units, and of that of L. With 0 for `maps` the encoder
    does not run.
    The paper's networks use only `distribution` and `colour`: huber, or l1 for the 10 · |d| / 110 of the retrained
    release. Their cross-entropy uses every cell."""

    huber: float = 1.0
    lone: float = 1.0
    inside: float = 0.5
    coarse: float = 0.1
    picture: float = 0.0
    distribution: float = 1.0
    distribution_points: int = 128
    distribution_gradient: bool = False
    colour: str = "huber"
    maps: float = 1.0
    answer: float = 0.05
    lightness: float = 0.002


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a training run of one of the paper's networks, at a constant rate.

    leads: the loss that trains the trunk, `colour` (the head gets detached features) or `classes` (the colour decoder
    does). hints: whether hints at points are given.
    """

    steps: int
    rate: float
    leads: str = "colour"
    hints: bool = True


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For model.toml and the model card: version, licence of the weights, the photographs and their licences, notes."""

    version: str
    licence: str
    data: str
    notes: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """network: which to train. backbone: of `touch`; "" for Lite 0. In the file both stand in a table, `[network]` with
    `name` and `backbone`; `network = "name"` is enough without a backbone. output: folder for checkpoints, the log and
    the finished bundle. device: auto, cpu or cuda. bf16: auto uses it if the hardware has it. every: steps between
    checkpoints and held-out curves. stages: one after the other, instead of the cosine. eccv16: checkpoint of the
    network of Zhang et al. 2016, whose conv1 to conv8 are the initial weights. Both are for the paper's networks.
    encoder_of: the bundle of `touch`, by name or folder, to which a restorer is fitted; for `network = "restorer"`."""

    network: str
    output: str
    data: Data
    optimiser: Optimiser
    card: Card
    augmentation: Augmentation = Augmentation()
    losses: Losses = Losses()
    seed: int = 0
    device: str = "auto"
    bf16: str = "auto"
    threads: int = 0
    every: int = 500
    stages: list[Stage] = []
    eccv16: str = ""
    backbone: str = ""
    encoder_of: str = ""

    def stage_at(self, position: float) -> Stage | None:
        """The stage at a position of the schedule, in steps; None for runs without stages."""
        for stage in self.stages:
            if position < stage.steps:
                return stage
            position -= stage.steps
        return self.stages[-1] if self.stages else None


def load_config(path: str | Path) -> Config:
    """Read a run's TOML file. Raises ConfigError naming the line or key."""
    try:
        config = msgspec.convert(network_and_backbone(read_toml(Path(path))), Config)
    except (ConfigError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path} is not a usable training configuration: {error}") from error
    problem = next(_problems(config), None)
    if problem:
        raise ConfigError(f"{path} is not a usable training configuration: {problem}")
    return config


def _problems(config: Config) -> Iterator[str]:
    if config.losses.colour not in ("huber", "l1"):
        yield f"losses.colour is {config.losses.colour!r}, expected huber or l1"
    if config.backbone and config.network != "touch":
        yield f"network {config.network} has no choice of backbones; only touch has"
    if (config.network == "restorer") != bool(config.encoder_of):
        yield 'encoder_of names the bundle for which a restorer is trained; it belongs to network = "restorer"'
    for stage in config.stages:
        if stage.leads not in ("colour", "classes"):
            yield f"a stage's leads is {stage.leads!r}, expected colour or classes"
    total = sum(stage.steps for stage in config.stages)
    if config.stages and total != config.optimiser.steps:
        yield f"the stages have {total} steps and optimiser.steps says {config.optimiser.steps}"
