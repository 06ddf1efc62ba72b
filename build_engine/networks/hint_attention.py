"""Hint attention, the head of `touch`: cells attend over the hints and a null token for the automatic colour.

The values are the hints' differences from the automatic colour. A touch contains no learned convolution. The terms
(weight, gate, share, surprise, focus, narrowing, contrast, mood) are explained in `engine/kernels/touch.cuh`.

Shapes below: B photographs, N hints (may be padded; `valid` marks the real ones), h heads, P = H/4 · W/4 cells.
Positions are x, y in 0…1; hint colours are ab/110; sizes are the side of the patch in working pixels (of 256).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...engine.colour import bins
from ...engine.colour.global_hints import VECTOR_LENGTH
from ...engine.hints import DEFAULT_SIZE_PX, WORKING_PX
from ...engine.inputs import AB_SCALE
from .kinds import GUARDED, Kinds
from .sampling import Taps, patch_taps, sample, sizes, taps, upsample_convex

WIDTH = 96
HEADS = 4
KEY = 32
MOOD = 32
DISTRIBUTION_HIDDEN = 256
# A hint's logit against the null token is clamped here, so that its exponential and their sum stay finite.
MAX_LOGIT = 30.0
MASKED_LOGIT = -1e4
# Origin of the positions in the distance penalty, in x and in y.
MIDDLE = 0.5
# Iterations that correct the hints' values by what the attention gives at the hints.
ROUNDS = 3
# Standard deviation in working pixels of the last, smooth correction around a hint.
ANCHOR_PX = 7.0
# The distance penalty of a head is exp(REACH_SLOPE · reach). The slope lets small training steps change it much.
REACH_SLOPE = 5.0
# The largest focus, the slope of the layers that give focus and narrowing (as above, for small training steps), and
# the initial focus, which moves attention from the wide heads to the narrow ones.
MAX_FOCUS, FOCUS_SLOPE = 6.0, 8.0
INITIAL_FOCUS = (-4.0, -2.0, 4.0, 2.0)
# The largest narrowing, as a logarithm, and the initial one: the second head, which would carry a hint beyond its
# object, then reaches less far.
MAX_NARROWING = 3.0
INITIAL_NARROWING = (0.0, math.log(3), 0.0, 0.0)
# The initial contrast: the odds of surprising hints against the null token that become even, as a logarithm (a share
# of a fifth becomes half), and the power to which odds are raised.
INITIAL_CONTRAST = (math.log(0.2 / 0.8), 3.0)
# Added to both shares before their odds are computed.
MIN_SHARE = 1e-4
# The distance from the automatic colour (ΔE in ab) at which surprise is ½, and the width of the transition.
SURPRISE_AT, SURPRISE_WITHIN = 40.0, 4.0
# Added to a squared distance in ab/110 under the root, so that the root's slope stays finite.
MIN_SURPRISE = 1e-6
# Positions of the flags of the histogram and of the saturation in the 316 global hints.
FLAGS = (VECTOR_LENGTH - 3, VECTOR_LENGTH - 1)
# Encoder outputs in the order of the exported graph.
MAP_NAMES = ("query", "key", "gate", "base", "mood", "up", "logits")


class Maps(NamedTuple):
    """The encoder's output for the touches of one photograph.

    query [B, h, KEY + 5, P]: scaled queries that contain the distance penalty and the null logit
    (see `HintAttention.queries`); key [B, h·KEY, H/4, W/4]; gate [B, h, H/4, W/4], sums to 1 over heads;
    base [B, 2, H/4, W/4] automatic ab/110; mood [B, 2, MOOD, P]; up [B, 9, 16, P], sums to 1 over the nine
    neighbours; logits [B, 313, H/4, W/4].
    """

    query: Tensor
    key: Tensor
    gate: Tensor
    base: Tensor
    mood: Tensor
    up: Tensor
    logits: Tensor


class Hints(NamedTuple):
    """positions [B, N, 2] (x, y in 0…1), ab [B, N, 2] / 110, size [B, N] px of 256, valid [B, N] in {0, 1}."""

    positions: Tensor
    ab: Tensor
    size: Tensor
    valid: Tensor


def hints_from_inputs(positions: Tensor, colours: Tensor, sizes: Tensor, valid: Tensor) -> Hints:
    """The hint inputs of the graphs, whose colours [B, N, 2] are in CIELAB units, as Hints."""
    return Hints(positions, colours / AB_SCALE, sizes, valid)


class Tokens(NamedTuple):
    """What the attention knows of the hints.

    keys [B, h, N, KEY + 5]; surprise [B, N] in 0…1; focus [B, h, N]: how far the logarithm of a head's gate moves in a
    cell where this hint has all the weight (0 without surprise); mood [B, MOOD], pooled over hints and global hints.
    """

    keys: Tensor
    surprise: Tensor
    focus: Tensor
    mood: Tensor


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def softmax_over_planes(x: Tensor) -> Tensor:
    """Softmax over axis 1, for few large planes.

    ONNX Runtime transposes everything for a softmax along any axis but the last; single operations take a tenth of
    its time.
    """
    weights = torch.exp(x - x.amax(1, keepdim=True))
    return weights / weights.sum(1, keepdim=True)


class HintAttention(nn.Module):
    """Features → maps once per photograph; maps and hints → colours at every touch.

    Heads differ in reach: the widest carries a hint through the scene, the narrow ones stop at its object. `gate` says
    which head a cell follows. The colour of a sky also predicts the colour of the water, but a red coat where brown
    was predicted says nothing about the rest. So a hint with surprise is treated differently: `focus` moves the gates
    where it has weight, `narrowing` shortens the reach of the heads for it, `contrast` gives it nearly all of a cell
    or nearly nothing, and it does not count for the mood of the picture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base, self.gate = nn.Conv2d(WIDTH, 2, 1), nn.Conv2d(WIDTH, HEADS, 1)
        self.query, self.key = nn.Conv2d(WIDTH, HEADS * KEY, 1), nn.Conv2d(WIDTH, HEADS * KEY, 1)
        self.null = nn.Conv2d(WIDTH, HEADS, 1)
        self.mood = nn.Conv2d(WIDTH, 2 * MOOD, 1)
        self.reach = nn.Parameter(torch.linspace(-0.2, 1, HEADS))
        self.kinds = Kinds(WIDTH)
        # Of each head and guarded kind, the root of how far its cells lower the logit of a hint on something else.
        self.guard = nn.Parameter(torch.zeros(HEADS, GUARDED))
        self.token = nn.Linear(HEADS * KEY + 5 + len(FLAGS), 128)
        self.token_mood, self.token_weight = nn.Linear(128, MOOD), nn.Linear(128, HEADS)
        self.token_focus, self.token_narrowing = nn.Linear(128, HEADS), nn.Linear(128, HEADS)
        # The distance in ab/110 at which surprise is ½, and the slope there.
        self.surprise = nn.Parameter(torch.tensor([SURPRISE_AT / AB_SCALE, AB_SCALE / SURPRISE_WITHIN]))
        # The logarithm of the odds that become even, and the power of odds.
        self.contrast = nn.Parameter(torch.tensor(INITIAL_CONTRAST))
        # Without biases, so that nothing is added without global hints, when the vector is zero.
        self.global_hidden = nn.Linear(VECTOR_LENGTH, 128, bias=False)
        self.global_mood = nn.Linear(128, MOOD, bias=False)
        self.up_hidden, self.up = conv3(WIDTH, 96), nn.Conv2d(96, 9 * 16, 1)
        self.bins_hidden = nn.Conv2d(WIDTH, DISTRIBUTION_HIDDEN, 1)
        self.bins = nn.Conv2d(DISTRIBUTION_HIDDEN, len(bins.CENTRES), 1)
        self.bins_mood = nn.Linear(MOOD, len(bins.CENTRES), bias=False)
        self.register_buffer("centres", torch.from_numpy(bins.CENTRES.copy()), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for layer in (
            self.base, self.mood, self.gate, self.token_weight, self.token_focus, self.token_narrowing,
        ):  # fmt: skip
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in (self.global_mood, self.bins_mood):
            nn.init.zeros_(layer.weight)
        self.token_focus.bias.data = bias_for(torch.tensor(INITIAL_FOCUS), MAX_FOCUS)  # type: ignore[union-attr]
        narrowing = bias_for(torch.tensor(INITIAL_NARROWING), MAX_NARROWING)
        self.token_narrowing.bias.data = narrowing  # type: ignore[union-attr]
        nn.init.zeros_(self.up.weight)
        centre = torch.full((9, 16), -1.0)
        centre[4] = 1.5
        self.up.bias.data = centre.reshape(-1)  # type: ignore[union-attr]

    def maps(self, features: Tensor) -> Maps:
        """features [B, WIDTH, H/4, W/4] → Maps.

        The factor 0.1 on `base` and `mood` makes training calmer: Adam's steps in these layers are multiplied by 110
        afterwards.
        """
        batch, _, height, width = sizes(features)
        cells = height * width
        up = self.up(F.leaky_relu(self.up_hidden(features), 0.1)).reshape(batch, 9, 16, cells)
        kinds = self.kinds.guarded(features).reshape(batch, 1, GUARDED, cells)
        return Maps(
            query=self.queries(features, kinds),
            key=self.with_kinds(self.key(features), 1 - kinds).reshape(batch, HEADS * KEY, height, width),
            gate=self.gate(features).softmax(1),
            base=self.base(features) * 0.1,
            mood=(self.mood(features) * 0.1).reshape(batch, 2, MOOD, cells),
            up=softmax_over_planes(up),
            logits=self.bin_logits(features),
        )

    def bin_logits(self, features: Tensor) -> Tensor:
        """Features [B, WIDTH, …] → logits [B, 313, …] of the automatic distribution."""
        return self.bins(F.leaky_relu(self.bins_hidden(features), 0.1))

    def with_kinds(self, x: Tensor, kinds: Tensor) -> Tensor:
        """Queries or keys [B, h·KEY, H, W] → [B, h, KEY, P], with `kinds` [B, 1, GUARDED, P] times `guard` added to the
        last channels of each head. These channels are the guards' alone (`training/make_room.py`)."""
        batch, cells = int(kinds.shape[0]), int(kinds.shape[3])
        heads = x.reshape(batch, HEADS, KEY, cells)
        return torch.cat([heads[:, :, :-GUARDED], heads[:, :, -GUARDED:] + kinds * self.guard[..., None]], 2)

    def queries(self, features: Tensor, kinds: Tensor) -> Tensor:
        """Queries [B, h, KEY + 5, P] whose product with the keys of `hint_keys` is the whole logit

            q·k/√KEY − Σ guard² z (1 − z_n) − t ρ ‖p − p_n‖² + w − null,  ρ = exp(REACH_SLOPE · reach)

        of a hint at p_n with narrowing factor t and weight w, against the null token; z are the `kinds`
        [B, 1, GUARDED, P]. The squared distance is a product too, of (2ρx, 2ρy, −ρ‖p‖², 1) with
        (t x_n, t y_n, t, −t ρ‖p_n‖² + w). Positions are relative to the middle of the picture: the four terms nearly
        cancel, and float32 then rounds off only a quarter as much.
        """
        batch, _, height, width = sizes(features)
        cells = height * width
        x = ((torch.arange(width, device=features.device) + 0.5) / width - MIDDLE).repeat(height)
        y = ((torch.arange(height, device=features.device) + 0.5) / height - MIDDLE).repeat_interleave(width)
        reach = torch.exp(REACH_SLOPE * self.reach)[:, None]
        place = torch.stack([2 * reach * x, 2 * reach * y, -reach * (x * x + y * y), torch.ones_like(reach * x)], 1)
        query = self.with_kinds(self.query(features) * KEY**-0.5, -kinds)
        null = self.null(features).reshape(batch, HEADS, 1, cells)
        return torch.cat([query, place.expand(batch, -1, -1, -1), -null], 2)

    def hint_keys(self, key: Tensor, hints: Hints, narrowing: Tensor, weight: Tensor) -> Tensor:
        """Keys [B, h, N, KEY + 5] of the hints, from the key map sampled at the hints, [B, h·KEY, N].

        narrowing [B, h, N]: factors of the distance penalties. weight [B, h, N]: added to the logits.
        """
        own = key.reshape(int(key.shape[0]), HEADS, KEY, -1).transpose(2, 3)
        places = hints.positions - MIDDLE
        reach = torch.exp(REACH_SLOPE * self.reach)[None, :, None]
        far = -narrowing * reach * (places**2).sum(-1)[:, None] + weight
        far = far + (1 - hints.valid[:, None]) * MASKED_LOGIT
        rest = torch.stack([narrowing, far, torch.ones_like(far)], 3)
        return torch.cat([own, places[:, None] * narrowing[..., None], rest], 3)

    def tokens(self, maps: Maps, hints: Hints, global_hints: Tensor) -> Tokens:
        """Tokens of the hints, from the encoder's maps and the global hints [B, 316]."""
        here = at_hints(maps, hints)
        key, base = sample(maps.key, here), sample(maps.base, here)
        ab = hints.ab.transpose(1, 2)
        size = ((hints.size - DEFAULT_SIZE_PX) / 4)[:, None]
        # A hint says less about the rest of the picture if the picture's statistics are given.
        known = torch.stack([global_hints[:, flag] for flag in FLAGS], 1)[:, :, None].expand_as(ab)
        token = torch.cat([key, (ab - base) * 4, ab * 4, size, known], 1).transpose(1, 2)
        token = F.gelu(self.token(token))
        surprise = self.surprise_of(ab - base) * hints.valid
        moods = self.token_mood(token) * (hints.valid - surprise)[..., None]
        mood = moods.sum(1) / (1 + hints.valid.sum(1, keepdim=True))
        mood = mood + self.global_mood(F.gelu(self.global_hidden(global_hints)))
        focus = bounded(self.token_focus(token), MAX_FOCUS).transpose(1, 2) * surprise[:, None]
        narrowing = bounded(self.token_narrowing(token), MAX_NARROWING).transpose(1, 2) * surprise[:, None]
        # A hint gets more weight in the heads that its focus favours, so that it fills its object.
        weight = self.token_weight(token).transpose(1, 2) + F.relu(focus)
        return Tokens(self.hint_keys(key, hints, torch.exp(narrowing), weight), surprise, focus, mood)

    def surprise_of(self, delta: Tensor) -> Tensor:
        """Surprise [B, N] in 0…1 of hints, from their differences [B, 2, N] from the automatic colour in ab/110."""
        distance = torch.sqrt((delta**2).sum(1) + MIN_SURPRISE)
        return torch.sigmoid((distance - self.surprise[0]) * self.surprise[1])

    def colours(self, maps: Maps, hints: Hints, global_hints: Tensor) -> tuple[Tensor, Tensor]:
        """One touch: ab [B, 2, H, W] in CIELAB units, and the coarse ab/110 [B, 2, H/4, W/4]."""
        tokens = self.tokens(maps, hints, global_hints)
        batch, _, height, width = sizes(maps.base)
        cells = height * width
        shift = (tokens.mood[:, None, None] @ maps.mood).reshape(batch, 2, height, width)
        base = maps.base + shift
        here = at_hints(maps, hints)
        delta = (hints.ab.transpose(1, 2) - sample(base, here)) * hints.valid[:, None]
        values = self.consistent_values(maps, tokens, delta, here)
        # [B, h, N, P]: with hints as rows no plane is transposed.
        weights = torch.exp((tokens.keys @ maps.query).clamp(max=MAX_LOGIT))
        surprise = tokens.surprise[:, None]
        # All weighted sums over the hints in one product.
        summed = torch.cat([values * (1 - surprise), values * surprise, surprise, torch.ones_like(surprise)], 1)
        sums = torch.cat([summed[:, None].expand(-1, HEADS, -1, -1), tokens.focus[:, :, None]], 2) @ weights
        total = 1 + sums[:, :, 5]
        gate = focused(maps.gate.reshape(batch, HEADS, cells), sums[:, :, 6] / total) / total
        mixed = (sums[:, :, :5] * gate[:, :, None]).sum(1)
        gain = self.gain_of_surprise(mixed[:, 4:5], gate.sum(1, keepdim=True))
        coarse = base + (mixed[:, :2] + mixed[:, 2:4] * gain).reshape(batch, 2, height, width)
        return anchor(upsample_convex(coarse * AB_SCALE, maps.up), hints), coarse

    def shares(self, tokens: Tokens, query: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        """Shares [B, N, P] of the hints at P places, and the null token's share [B, 1, P]; together they sum to 1.

        query [B, h, KEY + 5, P] and gate [B, h, P]: the maps at these places.
        """
        weights = torch.exp((tokens.keys @ query).clamp(max=MAX_LOGIT))
        total = 1 + weights.sum(2)
        gate = focused(gate, (tokens.focus[:, :, None] @ weights)[:, :, 0] / total) / total
        share, null = (weights * gate[:, :, None]).sum(1), gate.sum(1, keepdim=True)
        surprising = tokens.surprise[:, None] @ share
        gain = self.gain_of_surprise(surprising, null) - 1
        return share * (1 + tokens.surprise[..., None] * gain), null - surprising * gain

    def gain_of_surprise(self, surprising: Tensor, null: Tensor) -> Tensor:
        """Factor [B, 1, P] of the shares of surprising hints, from their sum and the null token's share [B, 1, P].

        The odds between the two are raised to a power; their sum stays.
        """
        log_odds = torch.log((surprising + MIN_SHARE) / (null + MIN_SHARE))
        part = torch.sigmoid((log_odds - self.contrast[0]) * self.contrast[1])
        return part * (surprising + null) / (surprising + MIN_SHARE)

    def consistent_values(self, maps: Maps, tokens: Tokens, delta: Tensor, here: Taps) -> Tensor:
        """The values [B, 2, N] with which the attention gives the colours `delta` [B, 2, N] at the hints.

        here: the cells under the hints. With A[n, m] the share of hint n at hint m, the values solve v A = delta. A few
        steps of Richardson's iteration v ← v + delta − v A approximate them without a solver in the graph.
        """
        share, _ = self.shares(tokens, queries_at(maps, here), sample(maps.gate, here))
        values = delta
        for _ in range(ROUNDS):
            values = values + delta - values @ share
        return values

    def distribution(self, maps: Maps, hints: Hints, global_hints: Tensor, points: Tensor) -> Tensor:
        """Probabilities [B, Q, 313] at points [B, Q, 2] (x, y in 0…1).

        The same attention mixes the automatic distribution (the null token's) with the soft bins of the hints.
        """
        logits = sample(maps.logits, taps(points, *sizes(maps.base)[2:])).transpose(1, 2)
        return self.mix_distribution(maps, hints, global_hints, points, logits)

    def mix_distribution(
        self, maps: Maps, hints: Hints, global_hints: Tensor, points: Tensor, logits: Tensor
    ) -> Tensor:
        """As `distribution`, from the automatic logits [B, Q, 313] at the points."""
        tokens = self.tokens(maps, hints, global_hints)
        automatic = (logits + self.bins_mood(tokens.mood)[:, None]).softmax(-1)
        at_points = taps(points, *sizes(maps.base)[2:])
        share, null = self.shares(tokens, queries_at(maps, at_points), sample(maps.gate, at_points))
        return automatic * null.transpose(1, 2) + share.transpose(1, 2) @ self.soft_bins(hints.ab * AB_SCALE)

    def soft_bins(self, ab: Tensor) -> Tensor:
        """ab [B, N, 2] → [B, N, 313]: Gaussian weights of all bin centres (σ of the soft encoding), normalised."""
        difference = ab[:, :, None] - self.centres  # type: ignore[operator]
        return (-(difference**2).sum(-1) / (2 * bins.SIGMA**2)).softmax(-1)


def bounded(x: Tensor, largest: float) -> Tensor:
    """A layer's output limited to ± `largest`. The slope lets small training steps change it much."""
    return largest * torch.tanh(FOCUS_SLOPE * x)


def bias_for(wanted: Tensor, largest: float) -> Tensor:
    """The bias of a layer for which `bounded` gives `wanted` [h] on average; `wanted` lies within ± `largest`."""
    return torch.atanh(wanted / largest) / FOCUS_SLOPE


def focused(gate: Tensor, shift: Tensor) -> Tensor:
    """Gates [B, h, P] whose logarithms are moved by `shift` [B, h, P]; they sum to 1 over heads again."""
    moved = gate * torch.exp(shift)
    return moved / moved.sum(1, keepdim=True)


def at_hints(maps: Maps, hints: Hints) -> Taps:
    """The cells under the hints' patches."""
    return patch_taps(hints.positions, hints.size, *sizes(maps.base)[2:])


def queries_at(maps: Maps, places: Taps) -> Tensor:
    """The queries [B, h, KEY + 5, Q] of places between cells."""
    batch, _, height, width = sizes(maps.base)
    channels = int(maps.query.shape[2])
    plane = maps.query.reshape(batch, HEADS * channels, height, width)
    return sample(plane, places).reshape(batch, HEADS, channels, -1)


def anchor(ab: Tensor, hints: Hints) -> Tensor:
    """Correct ab with a Gaussian of ANCHOR_PX around each hint, so that the pixel under a hint has the hint's colour.

    ab [B, 2, H, W] and the result are in CIELAB units. The pixel under the hint counts, not the mean of its patch,
    because a person looks for the colour there. The Gaussians overlap; their amplitudes come from the normalised
    iteration u ← u + (r − K u) / K1, which converges for every Gaussian kernel matrix K.
    """
    _, _, height, width = sizes(ab)
    sigma = ANCHOR_PX / WORKING_PX
    x, y = hints.positions[..., 0], hints.positions[..., 1]
    valid = hints.valid[..., None]
    columns = (torch.arange(width, device=ab.device) + 0.5) / width
    rows = (torch.arange(height, device=ab.device) + 0.5) / height
    across = torch.exp(-((x[..., None] - columns) ** 2) / (2 * sigma**2)) * valid
    down = torch.exp(-((y[..., None] - rows) ** 2) / (2 * sigma**2))
    squared = (x[:, :, None] - x[:, None]) ** 2 + (y[:, :, None] - y[:, None]) ** 2
    kernel = torch.exp(-squared / (2 * sigma**2)) * valid * hints.valid[:, None]
    share = 1 / kernel.sum(1, keepdim=True).clamp(min=1e-4)
    shown = sample(ab, taps(hints.positions, height, width))
    missing = (hints.ab.transpose(1, 2) * AB_SCALE - shown) * hints.valid[:, None]
    amplitudes = missing * share
    for _ in range(ROUNDS):
        amplitudes = amplitudes + (missing - amplitudes @ kernel) * share
    return ab + (down[:, None].transpose(-1, -2) * amplitudes[:, :, None]) @ across[:, None]
