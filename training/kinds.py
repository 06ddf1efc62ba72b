"""Fit what `networks/kinds.py` says of cells to labelled photographs; everything else of the network stays as it is.

The encoder runs once for every training frame and its features are kept, so that this takes minutes on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..build_engine.networks.hint_attention import WIDTH
from ..build_engine.networks.kinds import KINDS, Kinds
from ..build_engine.networks.touch import TouchNetwork
from ..calibration.photographs import lab_of, photograph_files, squashed
from ..engine.errors import ConfigError
from ..engine.hints import WORKING_PX
from .aging import age
from .draws import Draws

# The label of pixels that nobody can tell; they teach nothing.
UNKNOWN = 255
FRAMES, STEPS, BATCH, CROP, RATE = 2400, 8000, 16, 16, 3e-3
# A frame shows k × k photographs, with k drawn from this, so that things are learned at many sizes.
MOSAICS = (1, 1, 1, 2, 2, 3, 4)
MAX_TURN_DEGREES, TURNED_SHARE, AGED_SHARE = 35.0, 0.4, 0.5
# A cell counts if at least this share of its pixels is labelled.
MIN_LABELLED = 0.75
# The photographs and cells whose features say which directions of queries and keys matter (`make_room.py`).
ROOM_PHOTOS, CELLS_BETWEEN = 160, 16

Frame = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_labelled(photos: Path, labels: Path) -> list[Frame]:
    """Photographs uint8 [S, S, 3] with their labels uint8 [S, S], squashed to S = WORKING_PX.

    labels: a folder of PNG files named as the photographs, with indices of KINDS and UNKNOWN as grey values.
    Photographs without labels are left out. Raises ConfigError if none has any, or for labels out of range.
    """
    found = []
    for name, data in photograph_files(photos):
        path = labels / f"{Path(name).stem}.png"
        if path.is_file():
            with Image.open(path) as image:
                label = np.asarray(image.convert("L").resize((WORKING_PX, WORKING_PX), Image.Resampling.NEAREST))
            if not np.isin(label, (*range(len(KINDS)), UNKNOWN)).all():
                raise ConfigError(f"{path} holds other values than 0 to {len(KINDS) - 1} and {UNKNOWN}")
            found.append((squashed(data, WORKING_PX), label))
    if not found:
        raise ConfigError(f"{labels} holds no labels of the photographs in {photos}; name them STEM.png")
    return found


def sampled_features(network: TouchNetwork, labelled: list[Frame]) -> Tensor:
    """Features [n, WIDTH] of every CELLS_BETWEEN-th cell of up to ROOM_PHOTOS photographs, spread over the set."""
    step = -(-len(labelled) // ROOM_PHOTOS)
    rows = []
    for rgb, _ in labelled[::step]:
        rows.append(_features(network, rgb).reshape(WIDTH, -1)[:, ::CELLS_BETWEEN].T)
    return torch.cat(rows)


def fit_kinds(
    network: TouchNetwork,
    labelled: list[Frame],
    seed: int = 7,
    frames: int = FRAMES,
    steps: int = STEPS,
    tick: Callable[[int, int], object] = lambda done, total: None,
) -> float:
    """Fit `network.attention.kinds` to labelled photographs. Returns the mean probability of the right kind, over the
    labelled cells of the last frames, a twentieth, which are not learned from.

    tick: called with the number of steps done and their total; encoding a frame counts as one too.
    """
    total, draws = frames + steps, Draws(torch.device("cpu"), seed)
    features = np.empty((frames, WIDTH, WORKING_PX // 4, WORKING_PX // 4), np.float16)
    shares = np.empty((frames, WORKING_PX // 4, WORKING_PX // 4, len(KINDS)), np.float32)
    for index, (rgb, label) in enumerate(_frames(labelled, draws.host, frames)):
        features[index], shares[index] = _features(network, rgb, draws), cell_shares(label)
        tick(index + 1, total)
    learned = frames - max(frames // 20, 1)
    kinds = network.attention.kinds.requires_grad_(True)
    optimiser = torch.optim.AdamW(kinds.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    weights = _balance(shares[:learned])
    for step in range(steps):
        x, y = _batch(features[:learned], shares[:learned], draws.host)
        loss = -(y * weights * F.log_softmax(kinds(x), 1).movedim(1, -1)).sum() / (y * weights).sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        tick(frames + step + 1, total)
    return _right(kinds, features[learned:], shares[learned:])


def cell_shares(label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Labels uint8 [S, S] → shares of the kinds in each cell of 4 × 4 pixels, float32 [S/4, S/4, len(KINDS)], of sum 1;
    0 where too little is labelled."""
    side = label.shape[0] // 4
    one_hot = (label[..., None] == np.arange(len(KINDS))).astype(np.float32)
    shares = one_hot.reshape(side, 4, side, 4, len(KINDS)).mean((1, 3))
    total = shares.sum(-1, keepdims=True)
    return np.where(total >= MIN_LABELLED, shares / np.maximum(total, MIN_LABELLED), 0).astype(np.float32)


def _frames(labelled: list[Frame], rng: np.random.Generator, count: int) -> Iterator[Frame]:
    """`count` frames: mosaics of photographs, some of them turned."""
    for _ in range(count):
        along = int(rng.choice(MOSAICS))
        side = -(-WORKING_PX // along)
        rgb, label = np.empty((along * side,) * 2 + (3,), np.uint8), np.empty((along * side,) * 2, np.uint8)
        for row in range(0, along * side, side):
            for column in range(0, along * side, side):
                photo = labelled[int(rng.integers(len(labelled)))]
                place = np.s_[row : row + side, column : column + side]
                rgb[place], label[place] = _resized(photo, side, bool(rng.integers(2)))
        yield _turned((rgb[:WORKING_PX, :WORKING_PX], label[:WORKING_PX, :WORKING_PX]), rng)


def _resized(photo: Frame, side: int, mirrored: bool) -> Frame:
    rgb = cv2.resize(photo[0], (side, side), interpolation=cv2.INTER_AREA)
    label = cv2.resize(photo[1], (side, side), interpolation=cv2.INTER_NEAREST)
    step = -1 if mirrored else 1
    return np.asarray(rgb[:, ::step], np.uint8), np.asarray(label[:, ::step], np.uint8)


def _turned(frame: Frame, rng: np.random.Generator) -> Frame:
    if rng.random() >= TURNED_SHARE:
        return frame
    middle = WORKING_PX / 2
    turn = cv2.getRotationMatrix2D(
        (middle, middle), rng.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES), rng.uniform(0.9, 1.3)
    )
    size = (WORKING_PX, WORKING_PX)
    rgb = cv2.warpAffine(frame[0], turn, size, borderMode=cv2.BORDER_REFLECT)
    label = cv2.warpAffine(frame[1], turn, size, flags=cv2.INTER_NEAREST, borderValue=UNKNOWN)
    return np.asarray(rgb, np.uint8), np.asarray(label, np.uint8)


@torch.no_grad()
def _features(network: TouchNetwork, rgb: NDArray[np.uint8], draws: Draws | None = None) -> Tensor:
    """Features [WIDTH, S/4, S/4] of a picture, with `draws` now and then of an aged print of it."""
    L = torch.from_numpy(np.ascontiguousarray(lab_of(rgb)[..., 0]))[None, None]
    if draws is not None and draws.host.random() < AGED_SHARE:
        L = age(L, draws)
    return network.encoder(L)[0]


def _balance(shares: NDArray[np.float32]) -> Tensor:
    """Weights [len(KINDS)] of the kinds, so that all count the same: a face is to be found where it may be one."""
    counts = shares.reshape(-1, len(KINDS)).sum(0)
    return torch.from_numpy((counts.max() / np.maximum(counts, 1)).astype(np.float32))


def _batch(
    features: NDArray[np.float16], shares: NDArray[np.float32], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Crops of random frames: features [BATCH, WIDTH, CROP, CROP] and shares [BATCH, CROP, CROP, len(KINDS)]."""
    x, y = [], []
    for index in rng.integers(0, len(features), BATCH):
        row, column = rng.integers(0, features.shape[2] - CROP + 1, 2)
        rows, columns = slice(row, row + CROP), slice(column, column + CROP)
        x.append(features[index][:, rows, columns])
        y.append(shares[index][rows, columns])
    return torch.from_numpy(np.stack(x).astype(np.float32)), torch.from_numpy(np.stack(y))


@torch.no_grad()
def _right(kinds: Kinds, features: NDArray[np.float16], shares: NDArray[np.float32]) -> float:
    right = total = 0.0
    for x, y in zip(features, shares, strict=True):
        probabilities = kinds(torch.from_numpy(x.astype(np.float32))[None]).softmax(1)[0].permute(1, 2, 0).numpy()
        right, total = right + float((probabilities * y).sum()), total + float(y.sum())
    return right / max(total, 1.0)
