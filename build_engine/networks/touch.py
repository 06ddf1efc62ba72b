"""The network `touch`: encode a photograph once, then answer every touch by hint attention (`hint_attention.py`).

The encoder reads only L and runs once per photograph. The attention reads its maps, at a quarter of the resolution.
Shapes: B photographs, tokens [B, T, C].
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .efficientnet_lite import DEFAULT_BACKBONE, EfficientNetLite, taps_of
from .hint_attention import WIDTH, HintAttention, Maps, conv3
from .sampling import sizes


def double(x: Tensor) -> Tensor:
    """A map at twice its size, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))); initialised as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv3(channels, channels), conv3(channels, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class SelfAttention(nn.Module):
    """A pre-norm transformer block over the cells of the stride-16 map, tokens [B, T, C].

    The weights of q, k and v are packed in `qkv`, but each is a product of its own: TensorRT 8.6 returns q and v
    exchanged where a packed product is split.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, channels = sizes(x)
        query, key, value = self.products(self.norm1(x))
        weights = (query @ key.transpose(-1, -2) * (channels // self.heads) ** -0.5).softmax(-1)
        x = x + self.project((weights @ value).transpose(1, 2).reshape(batch, tokens, channels))
        return x + self.mlp(self.norm2(x))

    def products(self, x: Tensor) -> list[Tensor]:
        """q, k and v [B, heads, T, C / heads] of tokens [B, T, C]."""
        batch, tokens, channels = sizes(x)
        found = []
        for start in range(0, 3 * channels, channels):
            part = slice(start, start + channels)
            product = F.linear(x, self.qkv.weight[part], self.qkv.bias[part])
            found.append(product.reshape(batch, tokens, self.heads, channels // self.heads).transpose(1, 2))
        return found


class Encoder(nn.Module):
    """L [B, 1, H, W] in 0…100 (H, W multiples of 32) → features [B, WIDTH, H/4, W/4]."""

    def __init__(self, backbone: str = DEFAULT_BACKBONE) -> None:
        super().__init__()
        taps = taps_of(backbone)
        self.backbone = EfficientNetLite(backbone)
        self.lateral32, self.lateral16 = nn.Conv2d(taps[32], 160, 1), nn.Conv2d(taps[16], 160, 1)
        self.lateral8, self.lateral4 = nn.Conv2d(taps[8], 128, 1), nn.Conv2d(taps[4], WIDTH, 1)
        self.detail2, self.detail4 = conv3(1, 24, 2), conv3(24, 48, 2)
        self.detail = nn.Conv2d(48, WIDTH, 1)
        self.refine32 = Residual(160)
        self.refine16 = nn.Sequential(Residual(160), Residual(160))
        self.attend16 = nn.ModuleList([SelfAttention(160, 5) for _ in range(2)])
        self.narrow16, self.narrow8 = nn.Conv2d(160, 128, 1), nn.Conv2d(128, WIDTH, 1)
        self.refine8 = nn.Sequential(Residual(128), Residual(128))
        self.refine4 = nn.Sequential(Residual(WIDTH), Residual(WIDTH))

    def forward(self, L: Tensor) -> Tensor:
        taps = self.backbone_maps(L)
        x = self.refine16(double(self.refine32(self.lateral32(taps[32]))) + self.lateral16(taps[16]))
        tokens = x.flatten(2).transpose(1, 2)
        for block in self.attend16:
            tokens = block(tokens)
        x = double(self.narrow16(tokens.transpose(1, 2).reshape(x.shape)))
        x = self.refine8(x + self.lateral8(taps[8]))
        detail = F.leaky_relu(self.detail2((L - 50) / 50), 0.1)
        detail = self.detail(F.leaky_relu(self.detail4(detail), 0.1))
        return self.refine4(double(self.narrow8(x)) + self.lateral4(taps[4]) + detail)

    def backbone_maps(self, L: Tensor) -> dict[int, Tensor]:
        """The backbone's maps by stride, of L as `forward` takes it."""
        return self.backbone(((L / 100).expand(-1, 3, -1, -1) - 0.498) / 0.502)


class TouchNetwork(nn.Module):
    """Encoder and hint attention together, as they are trained.

    backbone: one of BACKBONES in `efficientnet_lite.py`. Raises ConfigError for another one.
    """

    def __init__(self, backbone: str = DEFAULT_BACKBONE) -> None:
        super().__init__()
        self.backbone = backbone
        self.encoder = Encoder(backbone)
        self.attention = HintAttention()

    def forward(self, L: Tensor) -> Maps:
        return self.attention.maps(self.encoder(L))
