"""Models that use parameters, batches and modules in ways that one call of one module a batch does not cover."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune, rnn
from torch.utils.checkpoint import checkpoint

from tests.gradients.cases import Expected, ModelCase
from tests.gradients.exactness import Subject

D, T, C, N = 6, 4, 3, 7
INFLUENCE = "there is no gradient of one example"


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(*batch[:-1]), batch[-1], reduction="none")


def items(draw: Callable[[int], tuple[Any, ...]], count: int = N) -> list[tuple[Any, ...]]:
    """Inputs of each item, and a label that runs round."""
    torch.manual_seed(1)
    return [(*draw(n), torch.tensor(n % C)) for n in range(count)]


def vectors(count: int = N) -> list[tuple[Any, ...]]:
    return items(lambda _: (torch.randn(D),), count)


def sequences(length: int = T, count: int = N) -> list[tuple[Any, ...]]:
    return items(lambda _: (torch.randn(length, D),), count)


class Model(nn.Module):
    """A first and a last layer around whatever a structure is about."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(D, D), nn.Linear(D, C)


class Functional(Model):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.first(x)), self.last.weight, self.last.bias)


class Listed(Model):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(D, D)) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for weight in self.weights:
            x = torch.tanh(x @ weight)
        return self.last(x)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain, self.inner = nn.Parameter(torch.randn(D, D)), nn.Linear(D, D)

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(self.inner(x @ self.gain))


class ThroughMethod(Model):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.encoder.encode(self.first(x)))


class ForwardCalled(Model):
    """Hooks are passed by."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first.forward(x)))


class HeadsByTask(Model):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(D, C) for _ in range(3)])

    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        h, out = torch.tanh(self.first(x)), x.new_zeros(len(x), C)
        for number, head in enumerate(self.heads):
            mine = (task == number).nonzero().flatten()
            if len(mine):
                out = out.index_copy(0, mine, head(h[mine]))
        return out


class HeadsByMask(HeadsByTask):
    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        every = torch.stack([head(h) for head in self.heads], dim=1)
        return every[torch.arange(len(x)), task]


class Experts(Model):
    """Tokens are routed: an expert sees as many as come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(D, 3)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(D, D), nn.GELU()) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x).reshape(-1, D)
        weights = self.router(tokens).softmax(1)
        chosen, out = weights.argmax(1), torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            mine = (chosen == number).nonzero().flatten()
            out.index_add_(0, mine, expert(tokens[mine]) * weights[mine, number, None])
        return self.last(out.view(x.shape).mean(1))


class TiedHead(nn.Module):
    def __init__(self, *, bias: bool = False) -> None:
        super().__init__()
        self.tokens, self.middle, self.head = nn.Embedding(9, D), nn.Linear(D, D), nn.Linear(D, 9, bias=bias)
        self.head.weight = self.tokens.weight
        if bias:
            self.bias = nn.Parameter(torch.randn(9))
            self.head.bias = self.bias

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.tanh(self.middle(self.tokens(tokens))))


class ScaledEmbedding(nn.Embedding):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        return super().forward(input) * D**0.5


class TiedSubclass(TiedHead):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = ScaledEmbedding(9, D)
        self.head.weight = self.tokens.weight


class TiedBias(Model):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(D, D)
        self.other.bias = self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.other(torch.tanh(self.first(x)))))


class TiedTransposed(Model):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.last(h @ self.first.weight)


class Latents(Model):
    """Queries of the model's own, [1, S, D], that attend to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, 2, D))
        self.attention = nn.MultiheadAttention(D, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        queries = self.latents.expand(len(x), -1, -1)
        return self.last(self.attention(queries, h, h)[0].mean(1))


class ClassToken(Model):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.places = nn.Parameter(torch.randn(D)), nn.Parameter(torch.randn(T + 1, D))
        self.layer = nn.TransformerEncoderLayer(D, 2, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.token.expand(len(x), 1, D), self.first(x)], dim=1)
        return self.last(self.layer(h + self.places[: x.shape[1] + 1])[:, 0])


class Positions(Model):
    def __init__(self, how: str, length: int = T) -> None:
        super().__init__()
        self.how, self.places = how, nn.Embedding(length, D)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1])
        if self.how == "shared":
            added = self.places(places)
        elif self.how == "unsqueezed":
            added = self.places(places)[None]
        elif self.how == "row":
            added = self.places(places[None])
        else:
            added = self.places(places.expand(len(x), -1))
        return self.last(torch.tanh(self.first(x) + added).mean(1))


class RelativeBias(Model):
    """T5's: a table of distances, looked up once for all examples."""

    def __init__(self, *, embedded: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(2 * T - 1, 2) if embedded else nn.Parameter(torch.randn(2 * T - 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        h, places = self.first(x), torch.arange(x.shape[1])
        distances = places[:, None] - places[None] + T - 1
        bias = self.table(distances) if isinstance(self.table, nn.Embedding) else self.table[distances]
        heads = h.unflatten(2, (2, D // 2)).transpose(1, 2)
        weights = (heads @ heads.transpose(2, 3) + bias.permute(2, 0, 1)[None]).softmax(3)
        return self.last((weights @ heads).transpose(1, 2).flatten(2).mean(1))


class Scalars(Model):
    def __init__(self) -> None:
        super().__init__()
        self.temperature, self.shift = nn.Parameter(torch.tensor(1.3)), nn.Parameter(torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x) + self.shift)) * self.temperature.exp()


class ScalarModule(Model):
    class Gain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(0.7))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gain

    def __init__(self) -> None:
        super().__init__()
        self.gain = self.Gain()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.gain(self.first(x))))


class Normed(Model):
    """A weight that is computed from others before each call."""

    def __init__(self, how: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.middle = how(nn.Linear(D, D))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.middle(self.first(x))))


class Bags(nn.Module):
    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.bags, self.last = nn.EmbeddingBag(11, D, **more), nn.Linear(D, C)

    def forward(self, tokens: Tensor, starts: Tensor) -> Tensor:
        return self.last(self.bags(tokens, starts))


class Cells(Model):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cell = kind(D, D)

    def forward(self, x: Tensor) -> Tensor:
        state = self.cell(self.first(x[:, 0]))
        for step in range(1, x.shape[1]):
            state = self.cell(self.first(x[:, step]), state)
        return self.last(state[0] if isinstance(state, tuple) else state)


class Pair(NamedTuple):
    sum: Tensor
    difference: Tensor


@dataclass
class Parts:
    left: Tensor
    right: Tensor


class Structured(nn.Module):
    """A module with parameters of its own whose arguments and output are no bare tensors."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.weight = kind, nn.Parameter(torch.randn(D, D))

    def forward(self, given: Any) -> Any:
        left, right = {
            "list": lambda g: g,
            "dict": lambda g: (g["left"], g["right"]),
            "namedtuple": lambda g: g,
            "dataclass": lambda g: (g.left, g.right),
        }[self.kind](given)
        one, two = left @ self.weight, right @ self.weight.T
        return {
            "list": lambda: [one, two],
            "dict": lambda: {"left": one, "right": two},
            "namedtuple": lambda: Pair(one, two),
            "dataclass": lambda: Parts(one, two),
        }[self.kind]()


class TakesStructures(Model):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.middle = kind, Structured(kind)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.tanh(self.first(x)), x
        given: Any = {
            "list": lambda: [left, right],
            "dict": lambda: {"left": left, "right": right},
            "namedtuple": lambda: Pair(left, right),
            "dataclass": lambda: Parts(left, right),
        }[self.kind]()
        found = self.middle(given)
        if self.kind == "dict":
            found = (found["left"], found["right"])
        if self.kind == "dataclass":
            found = (found.left, found.right)
        return self.last(torch.tanh(found[0]) + torch.sin(found[1]))


class SecondOutput(Model):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Parameter(torch.randn(D, D)), nn.Parameter(torch.randn(D, D))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x @ self.one, x @ self.two

    def __init__(self) -> None:
        super().__init__()
        self.middle = self.Two()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.middle(self.first(x))[1]))


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
    """A mean over the padded length: an example's value depends on its neighbours' lengths."""

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


class Contrast(Model):
    """The mean of the batch is taken away: there is no gradient of one example."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.tanh(h - h.mean(0)))


class LargeBatches(Model):
    """A layer that batches of more than three examples alone reach."""

    def __init__(self) -> None:
        super().__init__()
        self.large = nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.tanh(self.large(h) if len(x) > 3 else h))


class Loops(Model):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.last(torch.tanh(self.first(row))) for row in x])


class Chunks(Model):
    """The same layer for chunks of two, then for all."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([torch.tanh(self.first(part)) for part in x.split(2)])
        return self.last(torch.tanh(self.first(h)))


class InPlace(Model):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h.mul_(2).add_(1)
        h[:, 0] = 0.5
        return self.last(torch.relu_(h))


class Checkpointed(Model):
    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Linear(D, D))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(checkpoint(self.middle, self.first(x), use_reentrant=False))


class Complex(Model):
    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(D // 2 + 1, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.fft.irfft(torch.fft.rfft(self.first(x)) * self.filter, n=D))


class RealFilter(Complex):
    """Complex numbers in between; the parameter is pairs of real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(D // 2 + 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(self.first(x)) * torch.view_as_complex(self.filter)
        return self.last(torch.fft.irfft(spectrum, n=D))


class Hypernetwork(Model):
    """Weights of one layer come from another, from a code of the model's own or of each example."""

    def __init__(self, *, by_example: bool) -> None:
        super().__init__()
        self.by_example, self.code, self.make = (
            by_example,
            nn.Parameter(torch.randn(1, D)),
            nn.Linear(D, D * D),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        weights = self.make(h if self.by_example else self.code).view(-1, D, D)
        return self.last(torch.tanh((weights @ h[..., None])[..., 0]))


class Plain(Model):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


class Unused(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.spare, self.empty = nn.Linear(D, D), nn.Parameter(torch.empty(0, D))


class Patched(Plain):
    """A forward of the instance's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first.forward = lambda x: F.linear(x, self.first.weight.tril(), self.first.bias)


class Detached(Model):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        straight = h + (h.sign() - h).detach()
        return self.last(straight * h.detach())


class WithoutGrad(Model):
    def __init__(self) -> None:
        super().__init__()
        self.frozen_path = nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.frozen_path(x)
        return self.last(torch.tanh(self.first(h)))


class Vmapped(Model):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(
            lambda row: F.linear(torch.tanh(self.first(row)), self.last.weight, self.last.bias)
        )(x)


class FunctionalCall(Model):
    def forward(self, x: Tensor) -> Tensor:
        halved = {name: p / 2 for name, p in self.first.named_parameters()}
        return self.last(torch.tanh(torch.func.functional_call(self.first, halved, (x,))))


def frozen(make: Callable[[], nn.Module], *names: str) -> Callable[[], nn.Module]:
    """Freezes parameters that begin with one of these names."""

    def made() -> nn.Module:
        model = make()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(names))
        return model

    return made


def cases() -> list[ModelCase]:
    """Every structure."""
    return [
        *_uses(),
        *_routes(),
        *_shared(),
        *_weights(),
        *_arguments(),
        *_layouts(),
        *_ragged(),
        *_batches(),
        *_numbers(),
        *_losses(),
    ]


def case(
    kind: str,
    form: str,
    make: Callable[[], nn.Module],
    data: Callable[[], list[Any]] = vectors,
    expected: Expected = "exact",
    **more: Any,
) -> ModelCase:
    loss, reason = more.pop("loss", cross_entropy), more.pop("reason", "")
    return ModelCase(
        kind=kind,
        form=form,
        subject=lambda: Subject(make=make, loss=loss, items=data(), **more),
        expected=expected,
        reason=reason,
    )


def _uses() -> list[ModelCase]:
    outside, frozen_kind = "parameters outside their module's forward", "frozen parameters"
    return [
        case(outside, "`F.linear(x, self.last.weight)`", Functional),
        case(outside, "`ParameterList`", Listed),
        case(outside, "`self.encoder.encode(x)`", ThroughMethod),
        case(outside, "`self.first.forward(x)`", ForwardCalled),
        case(outside, "`functional_call`", FunctionalCall),
        case(outside, "`vmap`", Vmapped),
        case(outside, "a patched forward", Patched),
        case("unused parameters", "a spare layer, an empty parameter", Unused),
        case(frozen_kind, "a first layer", frozen(Plain, "first")),
        case(frozen_kind, "a weight without its bias", frozen(Plain, "first.weight")),
        case(frozen_kind, "a bias without its weight", frozen(Plain, "first.bias")),
        case(frozen_kind, "a head", frozen(Plain, "last")),
        case(frozen_kind, "all", frozen(Plain, ""), expected="refused", reason="nothing is left"),
        case(frozen_kind, "a tied weight", frozen(TiedHead, "tokens"), _tokens, loss=_next_token),
        case(frozen_kind, "in attention", frozen(Latents, "attention.in_proj"), sequences),
        case(frozen_kind, "all but a latent", frozen(Latents, "first", "last", "attention"), sequences),
    ]


def _tasks() -> list[tuple[Any, ...]]:
    return items(lambda n: (torch.randn(D), torch.tensor(int(n >= 4) + int(n >= 6))))


def _routes() -> list[ModelCase]:
    heads = "branches that few items reach"
    return [
        case(heads, "heads by task, by index", HeadsByTask, _tasks),
        case(heads, "heads by task, by mask", HeadsByMask, _tasks),
        case(heads, "experts by token", Experts, sequences),
    ]


def _tokens() -> list[Tensor]:
    torch.manual_seed(1)
    return list(torch.randint(0, 9, (N, T)))


def _next_token(model: nn.Module, tokens: Tensor) -> Tensor:
    return F.cross_entropy(model(tokens)[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none").sum(1)


def _shared() -> list[ModelCase]:
    tied, shared = "tied parameters", "parameters that all examples share"
    return [
        case(tied, "embedding and head", TiedHead, _tokens, loss=_next_token),
        case(tied, "a subclass of `nn.Embedding`", TiedSubclass, _tokens, loss=_next_token),
        case(tied, "a head's bias of two names", lambda: TiedHead(bias=True), _tokens, loss=_next_token),
        case(tied, "one bias of two layers", TiedBias),
        case(tied, "a weight and its transpose", TiedTransposed),
        case(shared, "latents [1, S, D]", Latents, sequences),
        case(shared, "a class token, positions [T, D]", ClassToken, sequences),
        *(
            case(
                shared,
                f"positions, {how}, T = {length}",
                lambda h=how, n=length: Positions(h, n),
                lambda n=length: sequences(n),
            )
            for how in ("shared", "unsqueezed", "row", "expanded")
            for length in (1, T, N)
        ),
        case(shared, "a relative bias, embedded", lambda: RelativeBias(embedded=True), sequences),
        case(shared, "a relative bias, a parameter", lambda: RelativeBias(embedded=False), sequences),
        case(shared, "0-dim parameters of the model", Scalars),
        case(shared, "a 0-dim parameter of a module", ScalarModule),
        case(shared, "a hypernetwork", lambda: Hypernetwork(by_example=False)),
    ]


def _weights() -> list[ModelCase]:
    kind = "weights that are computed"
    return [
        case(kind, "`weight_norm`", lambda: Normed(parametrizations.weight_norm)),
        case(kind, "`weight_norm`, the old one", lambda: Normed(nn.utils.weight_norm)),
        case(kind, "`spectral_norm`", lambda: Normed(parametrizations.spectral_norm)),
        case(kind, "`spectral_norm`, the old one", lambda: Normed(nn.utils.spectral_norm)),
        case(kind, "`orthogonal`", lambda: Normed(parametrizations.orthogonal)),
        case(kind, "pruned", lambda: Normed(lambda m: prune.l1_unstructured(m, "weight", 0.4))),
        case(kind, "a hypernetwork of each example", lambda: Hypernetwork(by_example=True)),
    ]


def _arguments() -> list[ModelCase]:
    kind = "arguments and outputs that are no tensors"
    return [
        *(
            case(kind, f"a {name}", lambda n=name: TakesStructures(n))
            for name in ("list", "dict", "namedtuple", "dataclass")
        ),
        case(kind, "a second output", SecondOutput),
    ]


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
                reason="" if expected == "exact" else "its neighbours' lengths change an example's loss",
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


def _batches() -> list[ModelCase]:
    kind, influence = "calls by the batch's size", "examples that influence one another"
    return [
        case(kind, "a layer called once an example", Loops),
        case(kind, "a layer called on chunks, then on all", Chunks),
        case(influence, "the batch's mean", Contrast, expected="refused", reason=INFLUENCE),
        case(influence, "a layer for more than three", LargeBatches, expected="either", reason=INFLUENCE),
        case("in-place operations", "on an output", InPlace),
        case("checkpointing", "`torch.utils.checkpoint`", Checkpointed),
        case("parts without a gradient", "`detach`, straight-through", Detached),
        case("parts without a gradient", "`no_grad`", WithoutGrad),
    ]


def _numbers() -> list[ModelCase]:
    def halved(data: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
        return lambda: [tuple(x.bfloat16() if x.is_floating_point() else x for x in row) for row in data()]

    kind = "other numbers"
    return [
        case(
            kind,
            "complex parameters",
            Complex,
            expected="either",
            reason="a score would lose their imaginary parts",
        ),
        case(kind, "complex numbers between real ones", RealFilter),
        case(kind, "bfloat16", lambda: Plain().bfloat16(), halved(vectors)),
        case(kind, "bfloat16, positions", lambda: Frames().bfloat16(), halved(sequences)),
        case(kind, "bfloat16, attention", lambda: ClassToken().bfloat16(), halved(sequences)),
        case(kind, "float64", lambda: Plain().double(), lambda: [(x.double(), y) for x, y in vectors()]),
    ]


def _losses() -> list[ModelCase]:
    def penalised(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model, batch) + 0.1 * model.first.weight.square().sum()

    def tempered(model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(*batch[:-1]) * model.temperature, batch[-1], reduction="none")

    def gradients(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model, batch) * cross_entropy(model, batch).mean()

    kind = "losses that use parameters"
    return [
        case(kind, "a penalty", Plain, loss=penalised),
        case(kind, "a temperature of the model", Scalars, loss=tempered),
        case(
            "examples that influence one another",
            "a loss times its mean",
            Plain,
            loss=gradients,
            expected="refused",
            reason=INFLUENCE,
        ),
    ]
