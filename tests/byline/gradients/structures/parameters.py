"""Parameters outside forward, frozen, tied, shared by all examples, computed, of other numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.structures.base import (
    INFLUENCE,
    D,
    Model,
    N,
    Plain,
    T,
    case,
    cross_entropy,
    sequences,
    vectors,
)
from tests.byline.gradients.structures.layouts import Frames


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


class Unused(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.spare, self.empty = nn.Linear(D, D), nn.Parameter(torch.empty(0, D))


class Patched(Plain):
    """A forward of the instance's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first.forward = lambda x: F.linear(x, self.first.weight.tril(), self.first.bias)


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
            expected="either",
            reason=INFLUENCE,
        ),
    ]


def cases() -> list[ModelCase]:
    """What is done with parameters."""
    return [*_uses(), *_shared(), *_weights(), *_numbers(), *_losses()]
