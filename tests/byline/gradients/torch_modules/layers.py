"""Layers, norms, embeddings, heads and containers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.byline.gradients.torch_modules.form import (
    COUNTED,
    LENGTH,
    REFUSED,
    WIDTH,
    Form,
    batch_second,
    form,
    indices,
    materialised,
    numbers,
)


def _plain() -> dict[str, list[Form]]:
    def pair() -> tuple[Tensor, ...]:
        return torch.randn(WIDTH), torch.randn(3)

    def pairs() -> tuple[Tensor, ...]:
        return torch.randn(LENGTH, WIDTH), torch.randn(LENGTH, 3)

    lazily = lambda: materialised(nn.LazyLinear(5), torch.zeros(1, WIDTH))  # noqa: E731
    return {
        "Linear": [
            form("vectors", lambda: nn.Linear(WIDTH, 5), numbers(WIDTH)),
            form("no bias", lambda: nn.Linear(WIDTH, 5, bias=False), numbers(WIDTH)),
            form("positions", lambda: nn.Linear(WIDTH, 5), numbers(LENGTH, WIDTH)),
            form("batch second", lambda: nn.Linear(WIDTH, 5), numbers(LENGTH, WIDTH), batch_second),
            form("one position", lambda: nn.Linear(WIDTH, 5), numbers(1, WIDTH), batch_second),
            form("a grid", lambda: nn.Linear(WIDTH, 5), numbers(2, 3, WIDTH)),
            form("as a keyword", lambda: nn.Linear(WIDTH, 5), numbers(WIDTH), lambda m, x: m(input=x)),
            form("flattened", lambda: nn.Linear(WIDTH, 5), numbers(LENGTH, WIDTH), _flattened),
        ],
        "LazyLinear": [form("", lazily, numbers(WIDTH))],
        "Bilinear": [
            form("vectors", lambda: nn.Bilinear(WIDTH, 3, 5), pair),
            form("positions", lambda: nn.Bilinear(WIDTH, 3, 5), pairs),
            form("batch second", lambda: nn.Bilinear(WIDTH, 3, 5), pairs, batch_second),
        ],
        "PReLU": [
            form("one slope", nn.PReLU, numbers(LENGTH, WIDTH)),
            form("a slope a channel", lambda: nn.PReLU(LENGTH), numbers(LENGTH, WIDTH)),
        ],
    }


def _flattened(module: nn.Module, x: Tensor) -> Tensor:
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _convolutions() -> dict[str, list[Form]]:
    found: dict[str, list[Form]] = {}
    for dims, side in ((1, 6), (2, 5), (3, 3)):
        shape, flat = (4,) + (side,) * dims, numbers(4, *(side,) * dims)
        for name in (f"Conv{dims}d", f"ConvTranspose{dims}d"):
            kind, lazy = getattr(nn, name), getattr(nn, f"Lazy{name}")
            found[name] = [
                form("", lambda k=kind: k(4, 6, 2), flat),
                form("no bias, stride", lambda k=kind: k(4, 6, 2, stride=2, bias=False), flat),
                form("padding, dilation", lambda k=kind: k(4, 6, 2, padding=1, dilation=2), flat),
                form("groups", lambda k=kind: k(4, 6, 2, groups=2), flat),
            ]
            found[f"Lazy{name}"] = [
                form("", lambda k=lazy, s=shape: materialised(k(6, 2), torch.zeros(1, *s)), flat)
            ]
        conv = getattr(nn, f"Conv{dims}d")
        found[f"Conv{dims}d"] += [
            form("circular padding", lambda k=conv: k(4, 6, 3, padding=1, padding_mode="circular"), flat),
            form("same padding", lambda k=conv: k(4, 6, 3, padding="same"), flat),
            form("each channel", lambda k=conv: k(4, 4, 2, groups=4), flat),
        ]
        back = getattr(nn, f"ConvTranspose{dims}d")
        found[f"ConvTranspose{dims}d"] += [
            form("output padding", lambda k=back: k(4, 6, 2, stride=2, output_padding=1), flat),
        ]
    return found


def _norms() -> dict[str, list[Form]]:
    def shaken(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        def made() -> nn.Module:
            module = make()
            for tensor in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
                tensor.data.add_(torch.rand_like(tensor))
            return module

        return made

    found: dict[str, list[Form]] = {}
    for dims in (1, 2, 3):
        flat, shape = numbers(4, *(3,) * dims), (2, 4) + (3,) * dims
        batch, instance = getattr(nn, f"BatchNorm{dims}d"), getattr(nn, f"InstanceNorm{dims}d")
        statistics = lambda k=batch: k(4, track_running_stats=False)  # noqa: E731
        found[f"BatchNorm{dims}d"] = [
            form("", shaken(lambda k=batch: k(4)), flat),
            form(
                "statistics of the batch", shaken(statistics), flat, **REFUSED, reason="they mix the examples"
            ),
        ]
        found[f"InstanceNorm{dims}d"] = [
            form("", shaken(lambda k=instance: k(4, affine=True)), flat),
            form("running", shaken(lambda k=instance: k(4, affine=True, track_running_stats=True)), flat),
        ]
        for name, more in ((f"LazyBatchNorm{dims}d", {}), (f"LazyInstanceNorm{dims}d", {"affine": True})):
            lazy = getattr(nn, name)
            make = lambda k=lazy, s=shape, m=more: materialised(k(**m), torch.randn(*s))  # noqa: E731
            found[name] = [form("", shaken(make), flat)]
    found["BatchNorm1d"].append(form("vectors", shaken(lambda: nn.BatchNorm1d(4)), numbers(4)))
    found["SyncBatchNorm"] = [form("", shaken(lambda: nn.SyncBatchNorm(4)), numbers(4, 3))]
    found["GroupNorm"] = [
        form("", shaken(lambda: nn.GroupNorm(2, 4)), numbers(4, 3, 3)),
        form("vectors", shaken(lambda: nn.GroupNorm(2, 8)), numbers(8)),
    ]
    for name in ("LayerNorm", "RMSNorm"):
        kind = getattr(nn, name)
        found[name] = [
            form("vectors", shaken(lambda k=kind: k(WIDTH)), numbers(WIDTH)),
            form("positions", shaken(lambda k=kind: k(WIDTH)), numbers(LENGTH, WIDTH)),
            form("batch second", shaken(lambda k=kind: k(WIDTH)), numbers(LENGTH, WIDTH), batch_second),
            form("over two axes", shaken(lambda k=kind: k([3, WIDTH])), numbers(2, 3, WIDTH)),
        ]
    found["LayerNorm"].append(
        form("no bias", shaken(lambda: nn.LayerNorm(WIDTH, bias=False)), numbers(WIDTH))
    )
    return found


def _embeddings() -> dict[str, list[Form]]:
    def bagged(module: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
        taken = torch.cat([row[: int(n)] for row, n in zip(tokens, lengths, strict=True)])
        return module(taken, lengths.cumsum(0) - lengths)

    def lengths() -> tuple[Tensor, ...]:
        return torch.randint(0, 7, (5,)), torch.randint(1, 6, ())

    def weighted() -> tuple[Tensor, ...]:
        return torch.randint(0, 7, (5,)), torch.rand(5)

    def by_weight(module: nn.Module, tokens: Tensor, weights: Tensor) -> Tensor:
        return module(tokens, per_sample_weights=weights)

    def table(**more: Any) -> Callable[[], nn.Module]:
        return lambda: nn.Embedding(7, WIDTH, **more)

    def bag(**more: Any) -> Callable[[], nn.Module]:
        return lambda: nn.EmbeddingBag(7, WIDTH, **more)

    tokens = indices(LENGTH)
    return {
        "Embedding": [
            form("", table(), tokens),
            form("one token", table(), indices()),
            form("batch second", table(), tokens, batch_second),
            form("a grid", table(), indices(2, 3)),
            form("padding index", table(padding_idx=0), tokens),
            form("sparse", table(sparse=True), tokens),
            form(
                "max_norm",
                table(max_norm=1.0),
                tokens,
                **REFUSED,
                reason="a look-up changes the weight",
            ),
            form("scale_grad_by_freq", table(scale_grad_by_freq=True), tokens, **REFUSED, reason=COUNTED),
            form("positions", lambda: nn.Embedding(LENGTH, WIDTH), tokens, _with_positions),
        ],
        "EmbeddingBag": [
            *(form(f"{mode}, rows", bag(mode=mode), tokens) for mode in ("sum", "mean", "max")),
            *(form(f"{mode}, offsets", bag(mode=mode), lengths, bagged) for mode in ("sum", "mean", "max")),
            form("weights", bag(mode="sum"), weighted, by_weight),
            form("padding index", bag(padding_idx=0), tokens),
            form("sparse", bag(mode="sum", sparse=True), tokens),
            form("scale_grad_by_freq", bag(scale_grad_by_freq=True), tokens, **REFUSED, reason=COUNTED),
        ],
    }


def _with_positions(module: nn.Module, tokens: Tensor) -> Tensor:
    return module(torch.arange(tokens.shape[1]))[None] * (1 + tokens[..., None])


def _heads() -> dict[str, list[Form]]:
    def labeled() -> tuple[Tensor, ...]:
        return torch.randn(WIDTH), torch.randint(0, 9, ())

    return {
        "AdaptiveLogSoftmaxWithLoss": [
            form(
                "of a label",
                lambda: nn.AdaptiveLogSoftmaxWithLoss(WIDTH, 9, [3, 6], div_value=1.5),
                labeled,
                lambda m, x, y: m(x, y).output,
            ),
            form(
                "of every class",
                lambda: nn.AdaptiveLogSoftmaxWithLoss(WIDTH, 9, [3], head_bias=True),
                numbers(WIDTH),
                lambda m, x: m.log_prob(x),
            ),
        ],
        "LinearCrossEntropyLoss": [
            form("", lambda: nn.LinearCrossEntropyLoss(WIDTH, 9, bias=True, reduction="none"), labeled),
        ],
    }


def _containers() -> dict[str, list[Form]]:
    def through(module: Any, x: Tensor) -> Tensor:
        for weight in module.values() if isinstance(module, nn.ParameterDict) else module:
            x = torch.tanh(x @ weight)
        return x

    def in_order(module: Any, x: Tensor) -> Tensor:
        for part in module.values() if isinstance(module, nn.ModuleDict) else module:
            x = torch.tanh(part(x))
        return x

    def square() -> nn.Parameter:
        return nn.Parameter(torch.randn(WIDTH, WIDTH))

    def linear() -> nn.Module:
        return nn.Linear(WIDTH, WIDTH)

    return {
        "ParameterList": [form("", lambda: nn.ParameterList([square(), square()]), numbers(WIDTH), through)],
        "ParameterDict": [
            form(
                "", lambda: nn.ParameterDict({"a": square(), "b": square()}), numbers(LENGTH, WIDTH), through
            )
        ],
        "Sequential": [form("", lambda: nn.Sequential(linear(), nn.Tanh(), linear()), numbers(WIDTH))],
        "ModuleList": [form("", lambda: nn.ModuleList([linear(), linear()]), numbers(WIDTH), in_order)],
        "ModuleDict": [
            form("", lambda: nn.ModuleDict({"a": linear(), "b": linear()}), numbers(WIDTH), in_order)
        ],
        "DataParallel": [form("", lambda: nn.DataParallel(linear()), numbers(WIDTH))],
    }


def forms() -> dict[str, list[Form]]:
    """Class name -> its forms."""
    return {**_plain(), **_convolutions(), **_norms(), **_embeddings(), **_heads(), **_containers()}
