"""A small diffusion U-Net: residual blocks, attention, a time embedding of sines, down- and upsampling of two kinds."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TimeEmbedding(nn.Module):
    """Sines and cosines of the timestep, then a small network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("rates", torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2)))
        self.net = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, steps: Tensor) -> Tensor:
        angles = steps[:, None].to(self.rates.dtype) * self.rates
        return self.net(torch.cat([angles.sin(), angles.cos()], dim=1))


class Residual(nn.Module):
    """Two convolutions with the embedding between them."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.GroupNorm(2, inputs), nn.GroupNorm(2, outputs)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(width, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv_1(F.silu(self.norm_1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv_2(F.silu(self.norm_2(h)))


class Attention(nn.Module):
    """Self-attention of all pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, channels)
        self.qkv, self.out = nn.Conv1d(channels, 3 * channels, 1), nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).flatten(2)).transpose(1, 2).chunk(3, dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return x + self.out(mixed).view(n, c, h, w)


class SmallUNet(nn.Module):
    """8 x 8 images, two resolutions, optional class labels."""

    def __init__(self, classes: int = 0, channels: int = 1, width: int = 8) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.label = nn.Embedding(classes, width) if classes else None
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.middle, self.attention = Residual(width, width, width), Attention(width)
        self.transposed = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
        self.upsampled = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1))
        self.last = Residual(3 * width, width, width)
        self.out = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, steps: Tensor, labels: Tensor | None = None) -> Tensor:
        time = self.time(steps)
        if self.label is not None:
            time = time + self.label(labels)
        top = self.first(x)
        low = self.attention(self.middle(self.down(top), time))
        return self.out(self.last(torch.cat([top, self.transposed(low), self.upsampled(low)], dim=1), time))
