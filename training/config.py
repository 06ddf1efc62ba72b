"""The settings of a training run: one TOML file, one typed table. Unknown keys are errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..engine.errors import ConfigError
from ..engine.files import read_toml


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sources: folders or tar files, relative to the working directory. held_out: for the curve in the log.
    side_px: photographs are squashed to this side and kept in memory. limit: at most this many, 0 = all."""

    sources: list[str]
    held_out: list[str]
    side_px: int = 256
    held_out_limit: int = 40
    limit: int = 0


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """crop_px: side of the training crop. min_crop: its least share of the side. recoloured: share of
    photographs with regions in other colours. lone_region: share in which one region wears another colour and has all
    the hints, while nothing else may move (`touch` only). aged: share whose lightness looks like an old print's.
    uniform_counts: share of batches with uniform hint counts; the others are geometric with parameter geometric_p,
    their mean (1 − p) / p. max_hints: the largest count. full_reveal: share of pictures revealed whole (plane
    networks only). global_share: share in which each global statistic is revealed."""

    crop_px: int = 128
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
    """AdamW with a warm-up and a cosine to zero over `steps`. encoder_rate, backbone_rate: shares of the rate that
    the encoder of `touch` and the backbone inside it get; with 0 for both only the attention learns, in less than
    half the time a step. only: what names of weights begin with that are trained, the rest staying as it is; empty
    for all. average: decay of the exponential moving average of the weights that is exported."""

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
    """huber: weight of the Huber loss, times `lone` in pictures with a lone region, of which `inside`
    (0…1) is the region's and the rest that of what should not move. coarse: weight of the Huber loss
    before upsampling. picture: weight of the mean error of a picture in dB. distribution: weight of the
    cross-entropy, which looks at `distribution_points` cells a picture. distribution_gradient: whether it trains the
    features too.
    The paper's networks read `distribution` and colour alone: huber, or l1 for the retrained release's
    10 · |d| / 110; their cross-entropy looks at every cell."""

    huber: float = 1.0
    lone: float = 1.0
    inside: float = 0.5
    coarse: float = 0.1
    picture: float = 0.0
    distribution: float = 1.0
    distribution_points: int = 128
    distribution_gradient: bool = False
    colour: str = "huber"


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of a run of one of the paper's networks, at a constant rate.

    leads: whose loss trains the trunk, `colour` (the head looks on) or `classes` (the colour decoder looks on).
    hints: whether hints at points are shown.
    """

    steps: int
    rate: float
    leads: str = "colour"
    hints: bool = True


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bundle says of itself: the licence of the weights, the photographs and their licences, notes."""

    version: str
    licence: str
    data: str
    notes: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """network: which to train. output: folder for checkpoints, the log and the finished bundle. device: auto, cpu or
    cuda. bf16: auto uses it where the CPU has it. every: steps between checkpoints and held-out curves.
    stages: one after the other, in place of the cosine. eccv16: checkpoint of the network of Zhang et al. 2016 whose
    conv1 to conv8 to start from. Both are for the paper's networks."""

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

    def stage_at(self, step: int) -> Stage | None:
        """The stage that a step belongs to; None for runs without stages."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1] if self.stages else None


def load_config(path: str | Path) -> Config:
    """Read a run's TOML file. Raises ConfigError naming the line or key."""
    try:
        config = msgspec.convert(read_toml(Path(path)), Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path} is not a usable training configuration: {error}") from error
    problem = next(_problems(config), None)
    if problem:
        raise ConfigError(f"{path} is not a usable training configuration: {problem}")
    return config


def _problems(config: Config) -> Iterator[str]:
    if config.losses.colour not in ("huber", "l1"):
        yield f"losses.colour is {config.losses.colour!r}, expected huber or l1"
    for stage in config.stages:
        if stage.leads not in ("colour", "classes"):
            yield f"a stage's leads is {stage.leads!r}, expected colour or classes"
    total = sum(stage.steps for stage in config.stages)
    if config.stages and total != config.optimiser.steps:
        yield f"the stages have {total} steps and optimiser.steps says {config.optimiser.steps}"
