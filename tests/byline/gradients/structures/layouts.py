"""How a batch is laid out: flattened, packed, padded, sorted, in several views."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import rnn

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.structures.base import C, D, Model, N, case, items, sequences
from tests.byline.gradients.structures.routes import Cells


class Bags(nn.Module):
    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.bags, self.last = nn.EmbeddingBag(11, D, **more), nn.Linear(D, C)

    def forward(self, tokens: Tensor, starts: Tensor) -> Tensor:
        return self.last(self.bags(tokens, starts))


class Frames(Model):
    def __init__(self, *, time_major: bool = False) -> None:
        super().__init__()
        self.time_major, self.norm = time_major, nn.LayerNorm(D)

    def forward(self, x: Tensor) -> Tensor:
        frames = (x.transpose(0, 1) if self.time_major else x).reshape(-1, D)
        h = torch.tanh(self.norm(self.first(frames)))
        shape = (x.shape[1], x.shape[0]) if self.time_major else x.shape[:2]
        h = h.unflatten(0, shape)
        return self.last(h.mean(0 if self.time_major else 1))


class Packed(Model):
    """Tokens of all examples in one row, [sum of lengths, D]; `owner` says whose each is."""

    def forward(self, tokens: Tensor, owner: Tensor, count: int) -> Tensor:
        h = torch.tanh(self.first(tokens))
        return self.last(h.new_zeros(count, D).index_add(0, owner, h))


class Graph(Model):
    """One round of messages along edges of all graphs of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Linear(D, D)

    def forward(self, nodes: Tensor, owner: Tensor, count: int) -> Tensor:
        h = torch.tanh(self.first(nodes))
        edges = (owner[:-1] == owner[1:]).nonzero().flatten()
        h = h.index_add(0, edges + 1, torch.tanh(self.message(h[edges])))
        return self.last(h.new_zeros(count, D).index_add(0, owner, h))


def pack(chosen: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    owner = torch.repeat_interleave(torch.arange(len(chosen)), torch.tensor([len(x) for x, _ in chosen]))
    return torch.cat([x for x, _ in chosen]), owner, len(chosen), torch.stack([y for _, y in chosen])


def ragged(lengths: list[int]) -> list[tuple[Any, ...]]:
    return items(lambda n: (torch.randn(lengths[n % len(lengths)], D),))


def pad(chosen: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    inputs = rnn.pad_sequence([x for x, _ in chosen], batch_first=True)
    mask = rnn.pad_sequence([torch.ones(len(x), dtype=torch.bool) for x, _ in chosen], batch_first=True)
    return inputs, mask, torch.stack([y for _, y in chosen])


class Padded(Model):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = torch.tanh(self.first(x)) * mask[..., None]
        return self.last(h.sum(1) / mask.sum(1, keepdim=True))


class PaddedMean(Padded):
    """A mean over the padded length: an example's value depends on its neighbors' lengths."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.last((torch.tanh(self.first(x)) * mask[..., None]).mean(1))


class Selected(Padded):
    """Only what is no padding goes through the layer: [sum of lengths, D]."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        out = x.new_zeros(x.shape)
        out[mask] = torch.tanh(self.first(x[mask]))
        return self.last(out.sum(1))


class Sorted(Model):
    """Examples change places and change back: by length, by what is in them, or end to end."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        order = torch.arange(len(x)).flip(0) if self.how == "reversed" else x[:, 0].argsort()
        return self.last(torch.tanh(self.first(x[order]))[order.argsort()])


class Views(Model):
    """Two views of each example, one batch behind the other."""

    def __init__(self, *, interleaved: bool) -> None:
        super().__init__()
        self.interleaved = interleaved

    def forward(self, x: Tensor) -> Tensor:
        if self.interleaved:
            h = torch.tanh(self.first(torch.stack([x, x.flip(1)], dim=1).flatten(0, 1))).unflatten(0, (-1, 2))
            return self.last(h[:, 0] * h[:, 1])
        one, two = torch.tanh(self.first(torch.cat([x, x.flip(1)]))).chunk(2)
        return self.last(one * two)


def _layouts() -> list[ModelCase]:
    kind = "layouts of the batch"
    return [
        case(kind, "flattened frames [N*T, D]", Frames, sequences),
        case(kind, "flattened frames [T*N, D]", lambda: Frames(time_major=True), sequences),
        case(kind, "flattened frames, T = N", Frames, lambda: sequences(N)),
        case(kind, "sorted by content", lambda: Sorted("content")),
        case(kind, "reversed", lambda: Sorted("reversed")),
        case(kind, "two views, behind one another", lambda: Views(interleaved=False)),
        case(kind, "two views, interleaved", lambda: Views(interleaved=True)),
        case("recurrent loops", "`LSTMCell`", lambda: Cells(nn.LSTMCell), sequences),
        case("recurrent loops", "`GRUCell`", lambda: Cells(nn.GRUCell), sequences),
    ]


def _ragged() -> list[ModelCase]:
    kind, even, odd = "ragged examples", [2, 4, 6, 4, 2, 6, 4], [1, 3, 2, 5]
    return [
        *(
            case(
                kind,
                f"{words}, lengths {lengths}",
                make,
                lambda r=lengths: ragged(r),
                collate=collate,
                expected=expected,
                reason="" if expected == "exact" else "its neighbors' lengths change an example's loss",
            )
            for words, make, collate, expected in (
                ("packed", Packed, pack, "exact"),
                ("graphs", Graph, pack, "exact"),
                ("padded", Padded, pad, "exact"),
                ("the padding left out", Selected, pad, "exact"),
                ("a mean over the padded length", PaddedMean, pad, "either"),
            )
            for lengths in (even, odd)
        ),
        *(
            case(kind, f"`EmbeddingBag`, offsets, {mode}", lambda m=mode: Bags(mode=m), _bags, collate=_bag)
            for mode in ("sum", "mean", "max")
        ),
        case(kind, "`EmbeddingBag`, sparse", lambda: Bags(mode="sum", sparse=True), _bags, collate=_bag),
    ]


def _bags() -> list[tuple[Any, ...]]:
    return items(lambda n: (torch.randint(0, 11, (1 + n % 4,)),))


def _bag(chosen: list[tuple[Any, ...]]) -> tuple[Tensor, ...]:
    lengths = torch.tensor([len(x) for x, _ in chosen])
    return torch.cat([x for x, _ in chosen]), lengths.cumsum(0) - lengths, torch.stack([y for _, y in chosen])


def cases() -> list[ModelCase]:
    """How batches are laid out."""
    return [*_layouts(), *_ragged()]
