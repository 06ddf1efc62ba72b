"""Change the weights of `touch` by hand: mix them with another bundle's, give them another backbone, teach them what
cells show, change reach, gates, narrowing or contrast.

The average of two trained sets of weights is often better than either. The reach of the heads, and the gates that a
surprising hint favours, decide how much of an object a touch fills and where it stops. Measure a change with `livetint
bench accuracy --model NEW --regions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from ..build_engine.networks.hint_attention import HEADS, MAX_FOCUS, MAX_NARROWING, REACH_SLOPE, bias_for
from ..build_engine.networks.kinds import GUARDED
from ..build_engine.networks.touch import TouchNetwork
from ..build_engine.touch_bundle import backbone_of, export_stages, network_of, touch_manifest
from ..calibration.photographs import load_squares
from ..engine.bundle import Bundle, write_bundle
from ..engine.errors import ConfigError
from ..engine.hints import WORKING_PX
from .kinds import fit_kinds, read_labelled, sampled_features
from .make_room import make_room
from .new_backbone import read_released_weights, with_backbone
from .run import CARD

MAX_PHOTOS = 800
# What is guarded against hints on something else, and the largest penalty of such hints in logits.
GUARDS = ("skin", "hair", "plants", "everything but paint")
MAX_GUARD = 100.0


@dataclass(frozen=True)
class NewBackbone:
    """name: one of BACKBONES. weights: its released weights, a safetensors file with the names of the usual PyTorch
    port. photos: folder or tar file of colour photographs, of which MAX_PHOTOS at most are used."""

    name: str
    weights: Path
    photos: Path


@dataclass(frozen=True)
class LabelledKinds:
    """photos: folder or tar file of photographs. labels: folder of their labels (`kinds.read_labelled`)."""

    photos: Path
    labels: Path


@dataclass(frozen=True)
class Change:
    """What to change, in this order; None changes nothing.

    other, share: another bundle, and the share (0…1) of its weights in the mixture. backbone: a new backbone; its
    lateral layers are fitted to the old ones (`new_backbone.py`). kinds: labelled photographs that teach what cells
    show (`kinds.py`). guard: by how much the logit of a hint on something else falls in skin, hair and plants, and that
    of a hint on a vehicle's paint in everything but paint. reach: factors of the distance penalties ρ of the heads,
    from the widest head to the narrowest. gates: the mean focus of surprising hints in each head, within ± MAX_FOCUS.
    narrowing: the mean narrowing factors of surprising hints, within exp(± MAX_NARROWING). contrast: the share against
    the automatic colour that becomes half, and the power of the odds.
    """

    other: Bundle | None = None
    share: float = 0.5
    backbone: NewBackbone | None = None
    kinds: LabelledKinds | None = None
    guard: Sequence[float] | None = None
    reach: Sequence[float] | None = None
    gates: Sequence[float] | None = None
    narrowing: Sequence[float] | None = None
    contrast: tuple[float, float] | None = None


def adjust(
    bundle: Bundle,
    change: Change,
    version: str,
    output: Path,
    tick: Callable[[int, int], object] = lambda done, total: None,
) -> Bundle:
    """Write `bundle` with `change` to the folder `output`, without INT8 ranges, which would no longer be valid.

    A restorer stays: it knows clean from aged, which no change here is about.

    tick: called with the steps done and their total while kinds are learned, which takes minutes.

    Raises ConfigError for bundles of other networks, for numbers out of range and for weights of another backbone,
    ModelFileError for weights that cannot be read, OutputError if `output` cannot be written.
    """
    network = _mixed(bundle, change)
    explained: dict[int, float] = {}
    if change.backbone is not None:
        new = change.backbone
        released = read_released_weights(new.weights, new.name)
        squares = load_squares(new.photos, WORKING_PX, MAX_PHOTOS)
        network, explained = with_backbone(network, new.name, released, squares)
    right = _teach_kinds(network, change.kinds, tick) if change.kinds is not None else None
    with torch.no_grad():
        if change.guard is not None:
            network.attention.guard.copy_(_guard(change.guard).sqrt().expand(HEADS, -1))
        if change.reach is not None:
            network.attention.reach.add_(torch.log(_per_head("reach", change.reach, 0, math.inf)) / REACH_SLOPE)
        if change.gates is not None:
            gates = _per_head("gates", change.gates, -MAX_FOCUS, MAX_FOCUS)
            network.attention.token_focus.bias.copy_(bias_for(gates, MAX_FOCUS))
        if change.narrowing is not None:
            largest = math.exp(MAX_NARROWING)
            narrowing = torch.log(_per_head("narrowing", change.narrowing, 1 / largest, largest))
            network.attention.token_narrowing.bias.copy_(bias_for(narrowing, MAX_NARROWING))
        if change.contrast is not None:
            network.attention.contrast.copy_(_contrast(*change.contrast))
    old = bundle.manifest
    manifest = touch_manifest(version, old.licence, old.data, old.trained, backbone=network.backbone)
    manifest = msgspec.structs.replace(manifest, restorer=old.restorer)
    card = bundle.files.get(CARD, b"").decode() + _card(bundle, change, explained, right)
    return write_bundle(output, manifest, export_stages(network) | bundle.restorer_files | {CARD: card.encode()})


def _mixed(bundle: Bundle, change: Change) -> TouchNetwork:
    if not 0 <= change.share <= 1:
        raise ConfigError(f"share is {change.share:g}; it runs from 0 to 1")
    for one in (bundle, change.other):
        if one is not None and one.manifest.network != "touch":
            raise ConfigError(f"{one.folder} is a {one.manifest.network}; only bundles of touch can be adjusted")
    network = network_of(bundle)
    if change.other is not None:
        if backbone_of(bundle) != backbone_of(change.other):
            raise ConfigError(f"{bundle.folder} and {change.other.folder} hold different weights and cannot be mixed")
        weights, others = network.state_dict(), network_of(change.other).state_dict()
        network.load_state_dict({name: torch.lerp(weights[name], others[name], change.share) for name in weights})
    return network


def _teach_kinds(network: TouchNetwork, given: LabelledKinds, tick: Callable[[int, int], object]) -> float:
    """Fit what the network says of cells. Returns the mean probability of the right kind, which stands in the card."""
    labelled = read_labelled(given.photos, given.labels)
    make_room(network.attention, sampled_features(network, labelled))
    return fit_kinds(network, labelled, tick=tick)


def _guard(numbers: Sequence[float]) -> Tensor:
    if len(numbers) != GUARDED or not all(0 <= number < MAX_GUARD for number in numbers):
        raise ConfigError(f"guard takes {GUARDED} numbers from 0 to {MAX_GUARD:g}: for {', '.join(GUARDS)}")
    return torch.tensor(numbers, dtype=torch.float32)


def _per_head(name: str, numbers: Sequence[float], low: float, high: float) -> Tensor:
    if len(numbers) != HEADS or not all(low < number < high for number in numbers):
        raise ConfigError(f"{name} takes {HEADS} numbers between {low:g} and {high:g}, one a head")
    return torch.tensor(numbers, dtype=torch.float32)


def _contrast(share: float, power: float) -> Tensor:
    if not (0 < share < 1 and 1 <= power < math.inf):
        raise ConfigError(f"contrast is {share:g},{power:g}; it takes a share between 0 and 1 and a power from 1 on")
    return torch.tensor([math.log(share / (1 - share)), power])


def _card(bundle: Bundle, change: Change, explained: Mapping[int, float], right: float | None) -> str:
    lines = ["", "## Changed by hand", "", f"Made of {bundle.manifest.name} {bundle.manifest.version}."]
    if change.other is not None:
        lines.append(f"* {change.share:g} of its weights are {change.other.manifest.version}'s.")
    if change.backbone is not None:
        shares = ", ".join(f"{share:.2f} at stride {stride}" for stride, share in explained.items())
        lines.append(
            f"* The backbone {change.backbone.name} in place of {backbone_of(bundle)}; its lateral layers are fitted "
            f"to the old ones by least squares and explain of their variance {shares}."
        )
    if right is not None:
        lines.append(
            f"* What cells show is learned from labels; the right kind has a probability of {right:.2f} on average."
        )
    if change.guard is not None:
        guards = ", ".join(f"{kind} by {by:g}" for kind, by in zip(GUARDS, change.guard, strict=True))
        lines.append(f"* Guarded against hints on something else: {guards}.")
    if change.reach is not None:
        lines.append(f"* Distance penalties times {', '.join(f'{factor:g}' for factor in change.reach)}.")
    if change.gates is not None:
        lines.append(f"* Mean gates of hints that surprise: {', '.join(f'{gate:g}' for gate in change.gates)}.")
    if change.narrowing is not None:
        lines.append(f"* Mean narrowing by hints that surprise: {', '.join(f'{by:g}' for by in change.narrowing)}.")
    if change.contrast is not None:
        share, power = change.contrast
        lines.append(
            f"* Contrast of hints that surprise: a share of {share:g} becomes half, odds to the power {power:g}."
        )
    return "\n".join(lines) + "\n"
