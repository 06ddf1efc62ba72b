"""The network `touch`: encode a photograph once, answer every touch by hint attention.

The encoder sees only L and runs once per photograph. It leaves maps at quarter resolution. A touch is then an
attention of every pixel over the hints and over a null token that stands for the automatic colour; what flows
is each hint's difference from the automatic colour. Nothing in a touch is a learned convolution.

Shapes below: B photographs, N hints (static padding allowed, `valid` says which count), h heads, P = H/4 · W/4.
Positions are x, y in 0…1; hint colours are ab/110; sizes are the patch's side in working pixels of 256.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...engine import bins
from ...engine.hints import USUAL_PX, WORKING_PX
from ...engine.statistics import VECTOR_LENGTH
from .efficientnet_lite import TAPS, EfficientNetLite0

AB_SCALE = 110.0
WIDTH = 96
HEADS = 4
KEY = 32
MOOD = 32
DISTRIBUTION_HIDDEN = 256
# A hint's logit against the null token is clamped here, so that its exponential and their sum stay finite.
LARGEST_LOGIT = 30.0
MASKED_LOGIT = -1e4
# Where the places of the distance penalty count from, in x and in y.
MIDDLE = 0.5
# Rounds of self-consistency: how often the hints' values are corrected by what the attention gives at the hints.
ROUNDS = 3
# Radius (standard deviation) in working pixels of the last, smooth correction around a hint.
ANCHOR_PX = 7.0
# Most that a hint moves the logarithm of a head's gate where the head listens to it, the slope of what gives it
# (trained by small steps, it has to go far), and where it starts: from the wide heads to the narrow ones.
LARGEST_FOCUS, FOCUS_SLOPE = 6.0, 8.0
FIRST_FOCUS = (-4.0, -2.0, 4.0, 2.0)
# A hint this far from the automatic colour (ΔE in ab) is half a surprise, and how fast it becomes a whole one.
SURPRISE_AT, SURPRISE_WITHIN = 40.0, 4.0
# Under the root of a squared distance in ab/110, so that its slope stays finite.
LEAST_SURPRISE = 1e-6
# Where the flags of the histogram and of the saturation lie in the 316 global numbers.
FLAGS = (VECTOR_LENGTH - 3, VECTOR_LENGTH - 1)
# Encoder outputs in the order of the exported graph.
MAP_NAMES = ("query", "key", "gate", "base", "mood", "up", "logits")


class Maps(NamedTuple):
    """What the encoder leaves for the touches of one photograph.

    query [B, h, KEY + 4, P]: scaled queries with the distance penalty and the null logit folded in
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


class Tokens(NamedTuple):
    """What the hints say: keys [B, h, N, KEY + 4]; focus [B, h, N], by how much the logarithm of a head's gate moves
    at a place where the head listens to this hint alone (0 for hints that surprise nobody); the mood vector
    [B, MOOD], pooled over hints and global hints."""

    keys: Tensor
    focus: Tensor
    mood: Tensor


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def softmax_of_few(x: Tensor) -> Tensor:
    """Softmax over axis 1 of few large planes. ONNX Runtime transposes everything for a softmax along any axis but
    the last; the same in single operations takes a tenth of its time."""
    weights = torch.exp(x - x.amax(1, keepdim=True))
    return weights / weights.sum(1, keepdim=True)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))); starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv3(channels, channels), conv3(channels, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class SelfAttention(nn.Module):
    """A pre-norm transformer block over the cells of the stride-16 map, tokens [B, T, C]."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, channels = sizes(x)
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (query @ key.transpose(-1, -2) * (channels // self.heads) ** -0.5).softmax(-1)
        x = x + self.project((weights @ value).transpose(1, 2).reshape(batch, tokens, channels))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """L [B, 1, H, W] in 0…100 (H, W multiples of 32) → features [B, WIDTH, H/4, W/4]."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0()
        self.lateral32, self.lateral16 = nn.Conv2d(TAPS[32], 160, 1), nn.Conv2d(TAPS[16], 160, 1)
        self.lateral8, self.lateral4 = nn.Conv2d(TAPS[8], 128, 1), nn.Conv2d(TAPS[4], WIDTH, 1)
        self.detail2, self.detail4 = conv3(1, 24, 2), conv3(24, 48, 2)
        self.detail = nn.Conv2d(48, WIDTH, 1)
        self.refine32 = Residual(160)
        self.refine16 = nn.Sequential(Residual(160), Residual(160))
        self.attend16 = nn.ModuleList([SelfAttention(160, 5) for _ in range(2)])
        self.narrow16, self.narrow8 = nn.Conv2d(160, 128, 1), nn.Conv2d(128, WIDTH, 1)
        self.refine8 = nn.Sequential(Residual(128), Residual(128))
        self.refine4 = nn.Sequential(Residual(WIDTH), Residual(WIDTH))

    def forward(self, light: Tensor) -> Tensor:
        taps = self.backbone(((light / 100).expand(-1, 3, -1, -1) - 0.498) / 0.502)
        x = self.refine16(double(self.refine32(self.lateral32(taps[32]))) + self.lateral16(taps[16]))
        tokens = x.flatten(2).transpose(1, 2)
        for block in self.attend16:
            tokens = block(tokens)
        x = double(self.narrow16(tokens.transpose(1, 2).reshape(x.shape)))
        x = self.refine8(x + self.lateral8(taps[8]))
        detail = F.leaky_relu(self.detail2((light - 50) / 50), 0.1)
        detail = self.detail(F.leaky_relu(self.detail4(detail), 0.1))
        return self.refine4(double(self.narrow8(x)) + self.lateral4(taps[4]) + detail)


class HintAttention(nn.Module):
    """Features → maps once per photograph; maps and hints → colours at every touch.

    Heads differ in reach: the widest carries a hint to the rest of its scene, narrow ones stop at its thing. Places
    say by `gate` which head they follow, and hints say by `focus` which heads to follow where they are heard: the
    true colour of a sky tells of the water as well, a red coat where brown was foreseen is nobody else's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base, self.gate = nn.Conv2d(WIDTH, 2, 1), nn.Conv2d(WIDTH, HEADS, 1)
        self.query, self.key = nn.Conv2d(WIDTH, HEADS * KEY, 1), nn.Conv2d(WIDTH, HEADS * KEY, 1)
        self.null = nn.Conv2d(WIDTH, HEADS, 1)
        self.mood = nn.Conv2d(WIDTH, 2 * MOOD, 1)
        self.reach = nn.Parameter(torch.linspace(-0.2, 1, HEADS))  # exp(5 · reach): distance penalty per head
        self.token = nn.Linear(HEADS * KEY + 5 + len(FLAGS), 128)
        self.token_mood, self.token_weight = nn.Linear(128, MOOD), nn.Linear(128, HEADS)
        self.token_focus = nn.Linear(128, HEADS)
        # Where surprise begins, in ab/110, and how steeply.
        self.surprise = nn.Parameter(torch.tensor([SURPRISE_AT / AB_SCALE, AB_SCALE / SURPRISE_WITHIN]))
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
        for layer in (self.base, self.mood, self.gate, self.token_weight, self.token_focus):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in (self.global_mood, self.bins_mood):
            nn.init.zeros_(layer.weight)
        focus = torch.atanh(torch.tensor(FIRST_FOCUS) / LARGEST_FOCUS) / FOCUS_SLOPE
        self.token_focus.bias.data = focus  # type: ignore[union-attr]
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
            up=softmax_of_few(up),
            logits=self.bin_logits(features),
        )

    def bin_logits(self, features: Tensor) -> Tensor:
        """Features [B, WIDTH, …] → logits [B, 313, …] of the automatic distribution."""
        return self.bins(F.leaky_relu(self.bins_hidden(features), 0.1))

    def queries(self, features: Tensor) -> Tensor:
        """Queries [B, h, KEY + 4, P] whose product with the keys of `hint_keys` is the whole logit

            q·k/√KEY − ρ ‖p − p_n‖² − null,  ρ = exp(5 · reach)

        of a hint at p_n against the null token: the squared distance is a product too, of
        (2ρx, 2ρy, −ρ‖p‖² − null, 1) with (x_n, y_n, 1, −ρ‖p_n‖²). Places count from the middle of the picture:
        the four terms cancel nearly, and what float32 rounds off them is a quarter then.
        """
        batch, _, height, width = sizes(features)
        cells = height * width
        x = ((torch.arange(width, device=features.device) + 0.5) / width - MIDDLE).repeat(height)
        y = ((torch.arange(height, device=features.device) + 0.5) / height - MIDDLE).repeat_interleave(width)
        reach = torch.exp(5 * self.reach)[None, :, None]
        query = self.query(features).reshape(batch, HEADS, KEY, cells) * KEY**-0.5
        null = self.null(features).reshape(batch, HEADS, cells)
        place = torch.stack([2 * reach * x, 2 * reach * y], 2).expand(batch, -1, -1, -1)
        own = (-reach * (x * x + y * y) - null)[:, :, None]
        return torch.cat([query, place, own, torch.ones_like(own)], 2)

    def hint_keys(self, key: Tensor, hints: Hints, weight: Tensor) -> Tensor:
        """Sampled keys [B, h·KEY, N], hints and their weights [B, N, h] → keys [B, h, N, KEY + 4]."""
        per_head = key.reshape(int(key.shape[0]), HEADS, KEY, -1).transpose(2, 3)
        places = hints.positions - MIDDLE
        reach = torch.exp(5 * self.reach)[None, :, None]
        far = -reach * (places**2).sum(-1)[:, None] + weight.transpose(1, 2)
        far = far + (1 - hints.valid[:, None]) * MASKED_LOGIT
        return torch.cat(
            [per_head, places[:, None].expand(-1, HEADS, -1, -1), torch.ones_like(far)[..., None], far[..., None]], 3
        )

    def tokens(self, maps: Maps, hints: Hints, global_hints: Tensor) -> Tokens:
        """What the hints say, from the encoder's maps and the global hints."""
        key, base = sample_patches(maps.key, hints), sample_patches(maps.base, hints)
        ab = hints.ab.transpose(1, 2)
        size = ((hints.size - USUAL_PX) / 4)[:, None]
        # A hint says less about the rest of the picture where its statistics are known already.
        known = torch.stack([global_hints[:, flag] for flag in FLAGS], 1)[:, :, None].expand_as(ab)
        token = torch.cat([key, (ab - base) * 4, ab * 4, size, known], 1).transpose(1, 2)
        token = F.gelu(self.token(token))
        valid = hints.valid[..., None]
        mood = (self.token_mood(token) * valid).sum(1) / (1 + valid.sum(1))
        mood = mood + self.global_mood(F.gelu(self.global_hidden(global_hints)))
        focus = LARGEST_FOCUS * torch.tanh(FOCUS_SLOPE * self.token_focus(token)).transpose(1, 2)
        focus = focus * self.surprise_of(ab - base)[:, None]
        # In the heads that it asks for a hint is louder as well, so that it fills its thing.
        keys = self.hint_keys(key, hints, self.token_weight(token) + F.relu(focus).transpose(1, 2))
        return Tokens(keys, focus, mood)

    def surprise_of(self, delta: Tensor) -> Tensor:
        """How much of a surprise hints are, [B, N] in 0…1, by their distance [B, 2, N] from the automatic colour."""
        far = torch.sqrt((delta**2).sum(1) + LEAST_SURPRISE)
        return torch.sigmoid((far - self.surprise[0]) * self.surprise[1])

    def colours(self, maps: Maps, hints: Hints, global_hints: Tensor) -> tuple[Tensor, Tensor]:
        """One touch: ab [B, 2, H, W] in CIELAB units, and the coarse ab/110 [B, 2, H/4, W/4]."""
        tokens = self.tokens(maps, hints, global_hints)
        batch, _, height, width = sizes(maps.base)
        cells = height * width
        shift = (tokens.mood[:, None, None] @ maps.mood).reshape(batch, 2, height, width)
        base = maps.base + shift
        delta = (hints.ab.transpose(1, 2) - sample_patches(base, hints)) * hints.valid[:, None]
        values = self.consistent_values(maps, tokens, delta, hints)
        # [B, h, N, P]: hints are rows, so that no plane is transposed.
        weights = torch.exp((tokens.keys @ maps.query).clamp(max=LARGEST_LOGIT))
        said = torch.cat([values, torch.ones_like(values[:, :1])], 1)[:, None].expand(-1, HEADS, -1, -1)
        flow = torch.cat([said, tokens.focus[:, :, None]], 2) @ weights
        total = 1 + flow[:, :, 2]
        gate = focused(maps.gate.reshape(batch, HEADS, cells), flow[:, :, 3] / total)
        coarse = base + (flow[:, :, :2] * (gate / total)[:, :, None]).sum(1).reshape(batch, 2, height, width)
        fine = upsample_convex(coarse, maps.up) * AB_SCALE
        return anchor(fine, hints), coarse

    def consistent_values(self, maps: Maps, tokens: Tokens, delta: Tensor, hints: Hints) -> Tensor:
        """What each hint must send, [B, 2, N], so that the hints together give `delta` [B, 2, N] at the hints.

        With A[n, m] the share of hint n in the colour at hint m, the values solve v A = delta; a few steps of
        Richardson's iteration v ← v + delta − v A come close without a solver in the graph.
        """
        batch, _, height, width = sizes(maps.base)
        channels = int(maps.query.shape[2])
        query = sample_patches(maps.query.reshape(batch, HEADS * channels, height, width), hints)
        share, _ = shares(tokens, query.reshape(batch, HEADS, channels, -1), sample_patches(maps.gate, hints))
        values = delta
        for _ in range(ROUNDS):
            values = values + delta - values @ share
        return values

    def distribution(self, maps: Maps, hints: Hints, global_hints: Tensor, points: Tensor) -> Tensor:
        """Probabilities [B, Q, 313] at points [B, Q, 2]: the same attention mixes the automatic distribution
        (the null token's) with the hints' soft bins."""
        logits = sample(maps.logits, points).transpose(1, 2)
        return self.mix_distribution(maps, hints, global_hints, points, logits)

    def mix_distribution(
        self, maps: Maps, hints: Hints, global_hints: Tensor, points: Tensor, logits: Tensor
    ) -> Tensor:
        """As `distribution`, from the automatic logits [B, Q, 313] at the points."""
        tokens = self.tokens(maps, hints, global_hints)
        batch, _, height, width = sizes(maps.base)
        channels = int(maps.query.shape[2])
        automatic = (logits + self.bins_mood(tokens.mood)[:, None]).softmax(-1)
        query = sample(maps.query.reshape(batch, HEADS * channels, height, width), points)
        share, null = shares(tokens, query.reshape(batch, HEADS, channels, -1), sample(maps.gate, points))
        return automatic * null.transpose(1, 2) + share.transpose(1, 2) @ self.soft_bins(hints.ab * AB_SCALE)

    def soft_bins(self, ab: Tensor) -> Tensor:
        """ab [B, N, 2] → [B, N, 313]: Gaussian weights of all centres (σ of the soft encoding), normalised."""
        difference = ab[:, :, None] - self.centres  # type: ignore[operator]
        return (-(difference**2).sum(-1) / (2 * bins.SIGMA**2)).softmax(-1)


class TouchNetwork(nn.Module):
    """Encoder and hint attention together, as they are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.attention = HintAttention()

    def forward(self, light: Tensor) -> Maps:
        return self.attention.maps(self.encoder(light))


def focused(gate: Tensor, shift: Tensor) -> Tensor:
    """Gates [B, h, P] whose logarithms are moved by `shift` [B, h, P]; they sum to 1 over heads again."""
    moved = gate * torch.exp(shift)
    return moved / moved.sum(1, keepdim=True)


def shares(tokens: Tokens, query: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """Each hint's share [B, N, P] in the colour of P places, and that of the automatic colour [B, 1, P], from the
    places' queries [B, h, KEY + 4, P] and gates [B, h, P]. Together they sum to 1."""
    weights = torch.exp((tokens.keys @ query).clamp(max=LARGEST_LOGIT))
    total = 1 + weights.sum(2)
    gate = focused(gate, (tokens.focus[:, :, None] @ weights)[:, :, 0] / total) / total
    return (weights * gate[:, :, None]).sum(1), gate.sum(1, keepdim=True)


def sizes(x: Tensor) -> tuple[int, ...]:
    """Shape as plain integers: an export then sees constants, and only the hint axis stays open."""
    return tuple(int(n) for n in x.shape)


def sample(plane: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples [B, C, Q] of plane [B, C, H, W] at points [B, Q, 2] (x, y in 0…1), borders repeated."""
    grid = (points * 2 - 1)[:, :, None]
    picked = F.grid_sample(plane.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return picked[..., 0]


def sample_patches(plane: Tensor, hints: Hints) -> Tensor:
    """Means [B, C, N] of plane [B, C, H, W] over each hint's patch, by the midpoints of its four quarters."""
    batch, channels = int(plane.shape[0]), int(plane.shape[1])
    step = (hints.size / (4 * WORKING_PX))[:, :, None, None]
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], device=plane.device)
    points = hints.positions[:, :, None] + corners * step
    picked = sample(plane, points.reshape(batch, -1, 2))
    return picked.reshape(batch, channels, -1, 4).mean(3)


def upsample_convex(coarse: Tensor, up: Tensor) -> Tensor:
    """[B, 2, h, w] and weights [B, 9, 16, h·w] → [B, 2, 4h, 4w]: each fine pixel is a convex mixture of the
    3 × 3 coarse cells around it, with weights from L alone (borders repeated)."""
    batch, channels, height, width = sizes(coarse)
    padded = F.pad(coarse, (1, 1, 1, 1), mode="replicate")
    fine = torch.zeros(())
    for index in range(9):
        row, column = divmod(index, 3)
        shifted = padded[:, :, row : row + height, column : column + width]
        term = shifted.reshape(batch, channels, 1, height * width) * up[:, index : index + 1]
        fine = term if index == 0 else fine + term
    return F.pixel_shuffle(fine.reshape(batch, channels * 16, height, width), 4)


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
    missing = (hints.ab.transpose(1, 2) * AB_SCALE - sample(ab, hints.positions)) * hints.valid[:, None]
    height_of = missing * share
    for _ in range(ROUNDS):
        height_of = height_of + (missing - height_of @ kernel) * share
    return ab + (down[:, None].transpose(-1, -2) * height_of[:, :, None]) @ across[:, None]
