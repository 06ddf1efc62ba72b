"""Hint attention, the head of `touch`: places ask the hints, and a null token that stands for the automatic colour.

What flows is each hint's difference from the automatic colour. Nothing in a touch is a learned convolution.

Shapes below: B photographs, N hints (static padding allowed, `valid` says which count), h heads, P = H/4 · W/4.
Positions are x, y in 0…1; hint colours are ab/110; sizes are the patch's side in working pixels of 256.
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
from .sampling import Taps, patch_taps, sample, sizes, taps, upsample_convex

WIDTH = 96
HEADS = 4
KEY = 32
MOOD = 32
DISTRIBUTION_HIDDEN = 256
# A hint's logit against the null token is clamped here, so that its exponential and their sum stay finite.
MAX_LOGIT = 30.0
MASKED_LOGIT = -1e4
# Where the places of the distance penalty count from, in x and in y.
MIDDLE = 0.5
# Rounds of self-consistency: how often the hints' values are corrected by what the attention gives at the hints.
ROUNDS = 3
# Radius (standard deviation) in working pixels of the last, smooth correction around a hint.
ANCHOR_PX = 7.0
# A head's distance penalty is exp(REACH_SLOPE · reach): trained by small steps, it has to go far.
REACH_SLOPE = 5.0
# Most that a hint moves the logarithm of a head's gate where the head listens to it, the slope of what gives it and of
# what gives the narrowing (trained by small steps, both have to go far), and where focus starts: from the wide heads to
# the narrow ones.
MAX_FOCUS, FOCUS_SLOPE = 6.0, 8.0
INITIAL_FOCUS = (-4.0, -2.0, 4.0, 2.0)
# By how much at most a hint that surprises multiplies or divides a head's distance penalty, as a logarithm, and where
# that starts: the second head, which carries a hint beyond its thing, then reaches less far.
MAX_NARROWING = 3.0
INITIAL_NARROWING = (0.0, math.log(3), 0.0, 0.0)
# Odds of surprising hints against the automatic colour that are made even, as a logarithm (a fifth of the say becomes
# half), and the power that odds are raised to.
INITIAL_CONTRAST = (math.log(0.2 / 0.8), 3.0)
# Added to both shares before their odds are taken.
MIN_SHARE = 1e-4
# A hint this far from the automatic colour (ΔE in ab) is half a surprise, and how fast it becomes a whole one.
SURPRISE_AT, SURPRISE_WITHIN = 40.0, 4.0
# Under the root of a squared distance in ab/110, so that its slope stays finite.
MIN_SURPRISE = 1e-6
# Where the flags of the histogram and of the saturation lie in the 316 global numbers.
FLAGS = (VECTOR_LENGTH - 3, VECTOR_LENGTH - 1)
# Encoder outputs in the order of the exported graph.
MAP_NAMES = ("query", "key", "gate", "base", "mood", "up", "logits")


class Maps(NamedTuple):
    """What the encoder leaves for the touches of one photograph.

    query [B, h, KEY + 5, P]: scaled queries with the distance penalty and the null logit folded in
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
    """What the hints say: keys [B, h, N, KEY + 5]; surprise [B, N] in 0…1; focus [B, h, N], by how much the logarithm
    of a head's gate moves at a place where the head listens to this hint alone (0 for hints that surprise nobody); the
    mood vector [B, MOOD], pooled over hints and global hints."""

    keys: Tensor
    surprise: Tensor
    focus: Tensor
    mood: Tensor


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def softmax_over_planes(x: Tensor) -> Tensor:
    """Softmax over axis 1 of few large planes. ONNX Runtime transposes everything for a softmax along any axis but
    the last; the same in single operations takes a tenth of its time."""
    weights = torch.exp(x - x.amax(1, keepdim=True))
    return weights / weights.sum(1, keepdim=True)


class HintAttention(nn.Module):
    """Features → maps once per photograph; maps and hints → colours at every touch.

    Heads differ in reach: the widest carries a hint to the rest of its scene, narrow ones stop at its thing. Places
    say by `gate` which head they follow. Hints whose colour is a surprise have more to say, for the true colour of a
    sky tells of the water as well, but a red coat where brown was foreseen is nobody else's: `focus` moves the gates
    where such a hint is heard, `narrowing` makes heads reach less far for it, `contrast` lets it have all of a place
    or nothing, and it is left out of the mood of the picture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base, self.gate = nn.Conv2d(WIDTH, 2, 1), nn.Conv2d(WIDTH, HEADS, 1)
        self.query, self.key = nn.Conv2d(WIDTH, HEADS * KEY, 1), nn.Conv2d(WIDTH, HEADS * KEY, 1)
        self.null = nn.Conv2d(WIDTH, HEADS, 1)
        self.mood = nn.Conv2d(WIDTH, 2 * MOOD, 1)
        self.reach = nn.Parameter(torch.linspace(-0.2, 1, HEADS))
        self.token = nn.Linear(HEADS * KEY + 5 + len(FLAGS), 128)
        self.token_mood, self.token_weight = nn.Linear(128, MOOD), nn.Linear(128, HEADS)
        self.token_focus, self.token_narrowing = nn.Linear(128, HEADS), nn.Linear(128, HEADS)
        # Where surprise begins, in ab/110, and how steeply.
        self.surprise = nn.Parameter(torch.tensor([SURPRISE_AT / AB_SCALE, AB_SCALE / SURPRISE_WITHIN]))
        # The odds that become even, and their power.
        self.contrast = nn.Parameter(torch.tensor(INITIAL_CONTRAST))
        # No biases: without global hints the vector is zero and so is what it adds.
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
        """features [B, WIDTH, H/4, W/4] → Maps. A layer trained by Adam just before the × 110 is too restless
        unscaled, hence the factor 0.1 on `base` and `mood`."""
        batch, _, height, width = sizes(features)
        cells = height * width
        up = self.up(F.leaky_relu(self.up_hidden(features), 0.1)).reshape(batch, 9, 16, cells)
        return Maps(
            query=self.queries(features),
            key=self.key(features),
            gate=self.gate(features).softmax(1),
            base=self.base(features) * 0.1,
            mood=(self.mood(features) * 0.1).reshape(batch, 2, MOOD, cells),
            up=softmax_over_planes(up),
            logits=self.bin_logits(features),
        )

    def bin_logits(self, features: Tensor) -> Tensor:
        """Features [B, WIDTH, …] → logits [B, 313, …] of the automatic distribution."""
        return self.bins(F.leaky_relu(self.bins_hidden(features), 0.1))

    def queries(self, features: Tensor) -> Tensor:
        """Queries [B, h, KEY + 5, P] whose product with the keys of `hint_keys` is the whole logit

            q·k/√KEY − t ρ ‖p − p_n‖² + w − null,  ρ = exp(REACH_SLOPE · reach)

        of a hint at p_n, which narrows the head by t and weighs w, against the null token: the squared distance is a
        product too, of (2ρx, 2ρy, −ρ‖p‖², 1) with (t x_n, t y_n, t, −t ρ‖p_n‖² + w). Places count from the middle of
        the picture: the four terms cancel nearly, and what float32 rounds off them is a quarter then.
        """
        batch, _, height, width = sizes(features)
        cells = height * width
        x = ((torch.arange(width, device=features.device) + 0.5) / width - MIDDLE).repeat(height)
        y = ((torch.arange(height, device=features.device) + 0.5) / height - MIDDLE).repeat_interleave(width)
        reach = torch.exp(REACH_SLOPE * self.reach)[:, None]
        place = torch.stack([2 * reach * x, 2 * reach * y, -reach * (x * x + y * y), torch.ones_like(reach * x)], 1)
        query = self.query(features).reshape(batch, HEADS, KEY, cells) * KEY**-0.5
        null = self.null(features).reshape(batch, HEADS, 1, cells)
        return torch.cat([query, place.expand(batch, -1, -1, -1), -null], 2)

    def hint_keys(self, key: Tensor, hints: Hints, narrowing: Tensor, weight: Tensor) -> Tensor:
        """Sampled keys [B, h·KEY, N], hints, the factors [B, h, N] of their distance penalties and their weights
        [B, h, N] → keys [B, h, N, KEY + 5]."""
        own = key.reshape(int(key.shape[0]), HEADS, KEY, -1).transpose(2, 3)
        places = hints.positions - MIDDLE
        reach = torch.exp(REACH_SLOPE * self.reach)[None, :, None]
        far = -narrowing * reach * (places**2).sum(-1)[:, None] + weight
        far = far + (1 - hints.valid[:, None]) * MASKED_LOGIT
        rest = torch.stack([narrowing, far, torch.ones_like(far)], 3)
        return torch.cat([own, places[:, None] * narrowing[..., None], rest], 3)

    def tokens(self, maps: Maps, hints: Hints, global_hints: Tensor) -> Tokens:
        """What the hints say, from the encoder's maps and the global hints."""
        here = at_hints(maps, hints)
        key, base = sample(maps.key, here), sample(maps.base, here)
        ab = hints.ab.transpose(1, 2)
        size = ((hints.size - DEFAULT_SIZE_PX) / 4)[:, None]
        # A hint says less about the rest of the picture where its statistics are known already.
        known = torch.stack([global_hints[:, flag] for flag in FLAGS], 1)[:, :, None].expand_as(ab)
        token = torch.cat([key, (ab - base) * 4, ab * 4, size, known], 1).transpose(1, 2)
        token = F.gelu(self.token(token))
        surprise = self.surprise_of(ab - base) * hints.valid
        said = self.token_mood(token) * (hints.valid - surprise)[..., None]
        mood = said.sum(1) / (1 + hints.valid.sum(1, keepdim=True))
        mood = mood + self.global_mood(F.gelu(self.global_hidden(global_hints)))
        focus = bounded(self.token_focus(token), MAX_FOCUS).transpose(1, 2) * surprise[:, None]
        narrowing = bounded(self.token_narrowing(token), MAX_NARROWING).transpose(1, 2) * surprise[:, None]
        # In the heads that it asks for a hint is louder as well, so that it fills its thing.
        weight = self.token_weight(token).transpose(1, 2) + F.relu(focus)
        return Tokens(self.hint_keys(key, hints, torch.exp(narrowing), weight), surprise, focus, mood)

    def surprise_of(self, delta: Tensor) -> Tensor:
        """How much of a surprise hints are, [B, N] in 0…1, by their distance [B, 2, N] from the automatic colour."""
        far = torch.sqrt((delta**2).sum(1) + MIN_SURPRISE)
        return torch.sigmoid((far - self.surprise[0]) * self.surprise[1])

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
        # [B, h, N, P]: hints are rows, so that no plane is transposed.
        weights = torch.exp((tokens.keys @ maps.query).clamp(max=MAX_LOGIT))
        surprise = tokens.surprise[:, None]
        said = torch.cat([values * (1 - surprise), values * surprise, surprise, torch.ones_like(surprise)], 1)
        flow = torch.cat([said[:, None].expand(-1, HEADS, -1, -1), tokens.focus[:, :, None]], 2) @ weights
        total = 1 + flow[:, :, 5]
        gate = focused(maps.gate.reshape(batch, HEADS, cells), flow[:, :, 6] / total) / total
        mixed = (flow[:, :, :5] * gate[:, :, None]).sum(1)
        gain = self.gain_of_surprise(mixed[:, 4:5], gate.sum(1, keepdim=True))
        coarse = base + (mixed[:, :2] + mixed[:, 2:4] * gain).reshape(batch, 2, height, width)
        return anchor(upsample_convex(coarse * AB_SCALE, maps.up), hints), coarse

    def shares(self, tokens: Tokens, query: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        """Each hint's share [B, N, P] in the colour of P places, and that of the automatic colour [B, 1, P], from the
        places' queries [B, h, KEY + 5, P] and gates [B, h, P]. Together they sum to 1."""
        weights = torch.exp((tokens.keys @ query).clamp(max=MAX_LOGIT))
        total = 1 + weights.sum(2)
        gate = focused(gate, (tokens.focus[:, :, None] @ weights)[:, :, 0] / total) / total
        share, null = (weights * gate[:, :, None]).sum(1), gate.sum(1, keepdim=True)
        surprising = tokens.surprise[:, None] @ share
        gain = self.gain_of_surprise(surprising, null) - 1
        return share * (1 + tokens.surprise[..., None] * gain), null - surprising * gain

    def gain_of_surprise(self, surprising: Tensor, null: Tensor) -> Tensor:
        """What the shares of surprising hints are multiplied by, from their sum and from the automatic colour's share,
        both [B, 1, P]: the odds between the two are raised to a power, what the two have together stays."""
        odds = torch.log((surprising + MIN_SHARE) / (null + MIN_SHARE))
        wanted = torch.sigmoid((odds - self.contrast[0]) * self.contrast[1])
        return wanted * (surprising + null) / (surprising + MIN_SHARE)

    def consistent_values(self, maps: Maps, tokens: Tokens, delta: Tensor, here: Taps) -> Tensor:
        """What each hint must send, [B, 2, N], so that all together give `delta` [B, 2, N] where they are, `here`.

        With A[n, m] the share of hint n in the colour at hint m, the values solve v A = delta; a few steps of
        Richardson's iteration v ← v + delta − v A come close without a solver in the graph.
        """
        share, _ = self.shares(tokens, queries_at(maps, here), sample(maps.gate, here))
        values = delta
        for _ in range(ROUNDS):
            values = values + delta - values @ share
        return values

    def distribution(self, maps: Maps, hints: Hints, global_hints: Tensor, points: Tensor) -> Tensor:
        """Probabilities [B, Q, 313] at points [B, Q, 2]: the same attention mixes the automatic distribution
        (the null token's) with the hints' soft bins."""
        logits = sample(maps.logits, taps(points, *sizes(maps.base)[2:])).transpose(1, 2)
        return self.mix_distribution(maps, hints, global_hints, points, logits)

    def mix_distribution(
        self, maps: Maps, hints: Hints, global_hints: Tensor, points: Tensor, logits: Tensor
    ) -> Tensor:
        """As `distribution`, from the automatic logits [B, Q, 313] at the points."""
        tokens = self.tokens(maps, hints, global_hints)
        automatic = (logits + self.bins_mood(tokens.mood)[:, None]).softmax(-1)
        there = taps(points, *sizes(maps.base)[2:])
        share, null = self.shares(tokens, queries_at(maps, there), sample(maps.gate, there))
        return automatic * null.transpose(1, 2) + share.transpose(1, 2) @ self.soft_bins(hints.ab * AB_SCALE)

    def soft_bins(self, ab: Tensor) -> Tensor:
        """ab [B, N, 2] → [B, N, 313]: Gaussian weights of all centres (σ of the soft encoding), normalised."""
        difference = ab[:, :, None] - self.centres  # type: ignore[operator]
        return (-(difference**2).sum(-1) / (2 * bins.SIGMA**2)).softmax(-1)


def bounded(x: Tensor, largest: float) -> Tensor:
    """A layer's output brought to ± `largest`: trained by small steps, it has to go far, hence the slope."""
    return largest * torch.tanh(FOCUS_SLOPE * x)


def bias_for(wanted: Tensor, largest: float) -> Tensor:
    """The bias of a layer by which `bounded` gives `wanted` [h] on average, within ± `largest`."""
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
    """Take up what is still missing at the hints with smooth bumps of ANCHOR_PX, so that the asked colour is met.

    ab [B, 2, H, W] and the result in CIELAB units. What counts is the pixel under the hint, not its patch's mean:
    that is where a person looks for the colour. The bumps exp(−d²/2σ²) overlap; their heights come from the
    normalised iteration u ← u + (r − K u) / K1, which converges for every Gaussian kernel matrix K.
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
    height_of = missing * share
    for _ in range(ROUNDS):
        height_of = height_of + (missing - height_of @ kernel) * share
    return ab + (down[:, None].transpose(-1, -2) * height_of[:, :, None]) @ across[:, None]
