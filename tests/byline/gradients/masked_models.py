"""Small models with dropout in every kind of place, and which axis a mask must drop there. Float64.

Each maps items [T, ...] (one example each) to one value an example. Sizes are such that T = D, N = T and T = heads occur.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

D = 8
"""Features."""
VOCABULARY = 11


@dataclass(frozen=True)
class Masked:
    """A model with dropout."""

    model: Callable[[], nn.Module]
    """Takes padded items [N, T] (tokens) or [N, T, D], and their lengths [N]; returns values [N]."""
    axes: dict[str, int | None]
    """Module -> the axis that a mask drops; None drops nothing."""
    tokens: bool = True
    length: int | None = None
    """Of all items, where the model takes no other."""

    def items(self, lengths: Sequence[int]) -> list[Tensor]:
        generator = torch.Generator().manual_seed(sum(lengths) + 31 * len(lengths))
        lengths = [self.length or length for length in lengths]
        if self.tokens:
            return [torch.randint(1, VOCABULARY, (length,), generator=generator) for length in lengths]
        return [torch.randn(length, D, generator=generator, dtype=torch.float64) for length in lengths]

    def made(self) -> nn.Module:
        torch.manual_seed(0)
        model = self.model().double().eval()
        for parameter in model.parameters():  # so that no unit is dead and no norm at rest
            parameter.data += 0.1 * torch.randn_like(parameter)
        return model


def batch_of(items: Sequence[Tensor], width: int = 0) -> tuple[Tensor, Tensor]:
    """Items padded to one length, or further; and their own lengths."""
    padded = pad_sequence(list(items), batch_first=True)
    more = max(0, width - padded.shape[1])
    pads = (0, more) if padded.dim() == 2 else (0, 0, 0, more)
    return F.pad(padded, pads), torch.tensor([len(item) for item in items])


def written_out(model: nn.Module, factors: dict[str, Callable[[Tensor], Tensor]]) -> nn.Module:
    """Put a mask into a model by hand, in place of its dropout modules."""

    class ByHand(nn.Module):
        def __init__(self, factor: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            return x * self.factor(x)

    for name, factor in factors.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, ByHand(factor))
    return model


def inside(lengths_N: Tensor, width: int) -> Tensor:
    return torch.arange(width) < lengths_N[:, None]


def mean_inside(h_NTD: Tensor, lengths_N: Tensor) -> Tensor:
    kept = inside(lengths_N, h_NTD.shape[1])[..., None]
    return (h_NTD * kept).sum(dim=1) / lengths_N[:, None]


class Attention(nn.Module):
    """Self-attention as people write it; its modules' names begin with `att`."""

    def __init__(self, width: int = D, heads: int = 2, kind: str = "softmax") -> None:
        super().__init__()
        self.heads, self.kind = heads, kind
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.att_drop, self.att_out_drop = nn.Dropout(0.3), nn.Dropout(0.3)

    def forward(self, x: Tensor, lengths_N: Tensor) -> Tensor:
        batch, width = x.shape[:2]
        q, k, v = (p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in self.qkv(x).chunk(3, dim=-1))
        if self.kind == "folded":
            q, k, v = (p.reshape(-1, *p.shape[2:]) for p in (q, k, v))
        out_of = ~inside(lengths_N, width)[:, None, None]
        if self.kind == "folded":
            out_of = out_of.expand(batch, self.heads, width, width).reshape(-1, width, width)
        scores = (q @ k.transpose(-1, -2) * 0.5).masked_fill(out_of, -1e9)
        if self.kind == "by hand":
            p = (scores - scores.amax(dim=-1, keepdim=True)).exp()
            p = p / p.sum(dim=-1, keepdim=True)
        elif self.kind == "zeroed":
            p = scores.softmax(dim=-1).masked_fill(out_of.transpose(-1, -2), 0.0)
        else:
            p = scores.softmax(dim=-1)
        h = self.att_drop(p) @ v
        h = h.reshape(batch, self.heads, width, -1) if self.kind == "folded" else h
        return self.att_out_drop(self.out(h.transpose(1, 2).reshape(batch, width, -1)))


class Transformer(nn.Module):
    """One block, before it dropout on tokens and positions."""

    def __init__(self, heads: int = 2, kind: str = "softmax") -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, D), nn.Embedding(24, D)
        self.drop, self.att = nn.Dropout(0.3), Attention(heads=heads, kind=kind)
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 1)

    def forward(self, tokens_NT: Tensor, lengths_N: Tensor) -> Tensor:
        h = self.drop(self.tokens(tokens_NT) + self.places(torch.arange(tokens_NT.shape[1])))
        h = self.norm(h + self.att(h, lengths_N))
        return self.head(mean_inside(h, lengths_N))[:, 0]


def transformer(heads: int = 2, kind: str = "softmax") -> Masked:
    axes = {"drop": 2, "att.att_drop": None, "att.att_out_drop": 2}
    return Masked(lambda: Transformer(heads, kind), axes)


class Convolutions(nn.Module):
    """[N, C, L], pooled to one length, then flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.attn_drop = nn.Conv1d(D, D, 1), nn.BatchNorm1d(D), nn.Dropout(0.3)
        self.spatial, self.second = nn.Dropout1d(0.3), nn.Conv1d(D, D, 1)
        self.flat_drop, self.head = nn.Dropout(0.3), nn.Linear(2 * D, 1)

    def forward(self, x_NTD: Tensor, lengths_N: Tensor) -> Tensor:
        h = self.attn_drop(self.norm(self.first(x_NTD.transpose(1, 2))).relu())
        h = self.second(self.spatial(h)) * inside(lengths_N, h.shape[2])[:, None]
        both = torch.stack([h.sum(dim=2) / lengths_N[:, None], h[..., 0]], dim=2)
        return self.head(self.flat_drop(both.flatten(1)))[:, 0]


class ChannelsLast(nn.Module):
    """[N, H, W, C] in a block between convolutions, as in ConvNeXt; H = W = C."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.stem_drop = nn.Conv2d(1, D, 1), nn.Linear(D, D), nn.Dropout(0.3)
        self.norm, self.drop, self.after = nn.LayerNorm(D), nn.Dropout(0.3), nn.Dropout(0.3)
        self.head_drop, self.head = nn.Dropout2d(0.3), nn.Conv2d(D, 1, 1)

    def forward(self, x_NTD: Tensor, _lengths_N: Tensor) -> Tensor:
        h = self.stem_drop(self.stem(x_NTD[:, None]).tanh())
        h = self.norm(h.permute(0, 2, 3, 1))
        h = self.after(F.gelu(self.drop(self.first(h))))
        return self.head(self.head_drop(h.permute(0, 3, 1, 2))).mean(dim=(1, 2, 3))


class BatchSecond(nn.Module):
    """[T, N, D] throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.drop, self.rnn = nn.Linear(D, D), nn.Dropout(0.3), nn.GRU(D, D)
        self.rnn_drop, self.head = nn.Dropout(0.3), nn.Linear(D, 1)

    def forward(self, x_NTD: Tensor, lengths_N: Tensor) -> Tensor:
        h = self.drop(self.first(x_NTD.transpose(0, 1)).tanh())
        h = self.rnn_drop(self.rnn(h)[0])
        return self.head(mean_inside(h.transpose(0, 1), lengths_N))[:, 0]


class Packed(nn.Module):
    """[sum of lengths, D]: padding is cut out before the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.drop, self.first = nn.Embedding(VOCABULARY, D), nn.Dropout(0.3), nn.Linear(D, D)
        self.second_drop, self.head = nn.Dropout(0.3), nn.Linear(D, 1)

    def forward(self, tokens_NT: Tensor, lengths_N: Tensor) -> Tensor:
        kept = inside(lengths_N, tokens_NT.shape[1])
        h = self.drop(self.tokens(tokens_NT)[kept])
        values = self.head(self.second_drop(self.first(h).relu()))[:, 0]
        return torch.stack([part.mean() for part in values.split(lengths_N.tolist())])


class SharedPlaces(nn.Module):
    """Positions, [1, T, D], and a bare parameter, dropped before the tokens are added."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, D), nn.Embedding(24, D)
        self.bare = nn.Parameter(torch.randn(1, 24, D))
        self.place_drop, self.bare_drop, self.norm = nn.Dropout(0.3), nn.Dropout(0.3), nn.LayerNorm(D)
        self.head = nn.Linear(D, 1)

    def forward(self, tokens_NT: Tensor, lengths_N: Tensor) -> Tensor:
        width = tokens_NT.shape[1]
        h = self.bare_drop(self.bare[:, :width]) + self.tokens(tokens_NT)
        h = self.norm(h + self.place_drop(self.places(torch.arange(width)[None])))
        return self.head(mean_inside(h, lengths_N))[:, 0]


class InputFirst(nn.Module):
    """Dropout on inputs: only what comes after says which axis holds features."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.first = nn.Dropout(0.3), nn.Linear(D, D)
        self.turned_drop, self.conv = nn.Dropout(0.3), nn.Conv1d(D, D, 1)
        self.plain_drop, self.scale = nn.Dropout(0.3), nn.Parameter(torch.randn(D))

    def forward(self, x_NTD: Tensor, lengths_N: Tensor) -> Tensor:
        h = self.first(self.drop(x_NTD)) + self.conv(self.turned_drop(x_NTD.transpose(1, 2))).transpose(1, 2)
        plain = self.plain_drop(mean_inside(x_NTD, lengths_N)) * self.scale
        return (mean_inside(h.tanh(), lengths_N) + plain).sum(dim=1)


class Once(nn.Module):
    """One dropout module at places of different widths and numbers of axes, and twice at the same."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.tokens = nn.Dropout(0.3), nn.Embedding(VOCABULARY, D)
        self.wide, self.narrow, self.head = nn.Linear(D, 3 * D), nn.Linear(3 * D, D), nn.Linear(D, 1)

    def forward(self, tokens_NT: Tensor, lengths_N: Tensor) -> Tensor:
        h = self.drop(self.tokens(tokens_NT))
        h = self.drop(self.narrow(self.drop(self.wide(h).relu())))
        return self.head(self.drop(mean_inside(h, lengths_N)))[:, 0]


class Mixer(nn.Module):
    """Linear layers over positions and over features in turn; T = D."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.over_places, self.place_drop = nn.LayerNorm(D), nn.Linear(D, 5), nn.Dropout(0.3)
        self.back, self.over_features, self.feature_drop = nn.Linear(5, D), nn.Linear(D, D), nn.Dropout(0.3)

    def forward(self, x_NTD: Tensor, _lengths_N: Tensor) -> Tensor:
        turned = self.norm(x_NTD).transpose(1, 2)
        h = x_NTD + self.back(self.place_drop(self.over_places(turned).relu())).transpose(1, 2)
        return self.feature_drop(self.over_features(self.norm(h))).mean(dim=(1, 2))


class Handles(nn.Module):
    """Axes moved about between a layer and its dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.gate = nn.Embedding(VOCABULARY, D), nn.Linear(D, 2 * D)
        self.class_token, self.first_drop = nn.Parameter(torch.randn(1, 1, D)), nn.Dropout(0.3)
        self.gate_drop, self.norm, self.scaled_drop = nn.Dropout(0.3), nn.RMSNorm(D), nn.Dropout(0.3)
        self.mixed_drop, self.weight = nn.Dropout(0.3), nn.Parameter(torch.randn(D, D))
        self.head = nn.Linear(D, 1)

    def forward(self, tokens_NT: Tensor, lengths_N: Tensor) -> Tensor:
        batch = tokens_NT.shape[0]
        h = torch.cat([self.class_token.expand(batch, -1, -1), self.tokens(tokens_NT)], dim=1)
        h = self.first_drop(h.transpose(0, 1))  # [T + 1, N, D]
        h = self.gate_drop(F.glu(self.gate(h), dim=-1).permute(1, 2, 0))  # [N, D, T + 1]
        h = self.scaled_drop(self.norm(h.transpose(1, 2)).unflatten(0, (1, batch)))  # [1, N, T + 1, D]
        h = self.mixed_drop(torch.einsum("ntd,ed->nte", h.squeeze(0), self.weight))
        return self.head(h[:, 0] + mean_inside(h[:, 1:], lengths_N))[:, 0]


class Torchs(nn.Module):
    """torch's own encoder layer, batch-first or not, with a padding mask."""

    def __init__(self, batch_first: bool, nested: bool = False) -> None:
        super().__init__()
        self.tokens, self.batch_first, self.head = nn.Embedding(VOCABULARY, D), batch_first, nn.Linear(D, 1)
        layer = nn.TransformerEncoderLayer(D, 2, 2 * D, dropout=0.3, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=nested)

    def forward(self, tokens_NT: Tensor, lengths_N: Tensor) -> Tensor:
        h, padding = self.tokens(tokens_NT), ~inside(lengths_N, tokens_NT.shape[1])
        if self.batch_first:
            h = self.encoder(h, src_key_padding_mask=padding)
        else:
            h = self.encoder(h.transpose(0, 1), src_key_padding_mask=padding).transpose(0, 1)
        return self.head(mean_inside(h, lengths_N))[:, 0]


ENCODER = {f"encoder.layers.0.{name}": 2 for name in ("dropout", "dropout1", "dropout2")}
MODELS: dict[str, Masked] = {
    "transformer": transformer(),
    "as many heads as tokens": transformer(heads=4),
    "softmax by hand": transformer(kind="by hand"),
    "softmax with zeros written in": transformer(kind="zeroed"),
    "heads folded into the batch": transformer(kind="folded"),
    "convolutions": Masked(Convolutions, {"attn_drop": 1, "spatial": 1, "flat_drop": 1}, tokens=False),
    "channels last": Masked(
        ChannelsLast, {"stem_drop": 1, "drop": 3, "after": 3, "head_drop": 1}, tokens=False, length=D
    ),
    "batch second": Masked(BatchSecond, {"drop": 2, "rnn_drop": 2}, tokens=False),
    "packed": Masked(Packed, {"drop": 1, "second_drop": 1}),
    "shared positions": Masked(SharedPlaces, {"place_drop": 2, "bare_drop": 2}),
    "inputs": Masked(InputFirst, {"drop": 2, "turned_drop": 1, "plain_drop": 1}, tokens=False),
    "one module at many places": Masked(Once, {"drop": -1}),
    "mixer": Masked(Mixer, {"place_drop": 2, "feature_drop": 2}, tokens=False, length=D),
    "axes moved about": Masked(Handles, {"first_drop": 2, "gate_drop": 1, "scaled_drop": 3, "mixed_drop": 2}),
    "torch's encoder": Masked(lambda: Torchs(batch_first=True), ENCODER),
    "torch's encoder, nested": Masked(lambda: Torchs(batch_first=True, nested=True), ENCODER),
    "torch's encoder, batch second": Masked(lambda: Torchs(batch_first=False), ENCODER),
}
