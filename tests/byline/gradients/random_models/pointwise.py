"""Parts that treat every position alike, whatever the layout: [..., D] to [..., D]."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from tests.byline.gradients.random_models.part import Part
from tests.byline.gradients.random_models.view import View


class Dense(Part):
    """A layer and a nonlinearity; the layer is called by keyword, or past its hooks."""

    def build(self) -> None:
        self.layer = self.linear(bias=self.choose.random() < 0.7)
        self.how = self.choose.choice(["plain", "plain", "keyword", "forward", "method"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "keyword":
            return torch.tanh(self.layer(input=state))
        if self.how == "forward":
            return self.layer.forward(state).tanh()
        if self.how == "method":
            return nn.Linear.forward(self.layer, state).tanh()
        return torch.tanh(self.layer(state))


class InPlace(Part):
    """What a layer gave is written into."""

    def build(self) -> None:
        self.layer = self.linear(bias=self.choose.random() < 0.7)
        self.how = self.choose.choice(["relu_", "mul_", "slice", "relu_ before"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "relu_ before":
            return self.layer((state * 1.0).relu_()).tanh()
        out = self.layer(state)
        if self.how == "relu_":
            return out.relu_()
        if self.how == "mul_":
            out.mul_(0.5).add_(0.1)
            return out
        out[..., 0] = 0.3
        return out.tanh()


class Functional(Part):
    """A child's weight, applied by the parent."""

    def build(self) -> None:
        self.layer = self.linear()
        self.how = self.choose.choice(["linear", "addmm", "einsum"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        weight, bias = self.layer.weight, self.layer.bias
        if self.how == "addmm":
            return torch.addmm(bias, state.reshape(-1, self.width), weight.T).view(state.shape).tanh()
        if self.how == "einsum":
            return torch.einsum("...i,oi->...o", state, weight).tanh()
        return F.linear(state, weight, bias).tanh()


class Derived(Part):
    """A child's weight, changed by the parent, beside the child's own call."""

    def build(self) -> None:
        self.layer = self.linear()
        self.how = self.choose.choice(["transposed", "both", "normed", "masked"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        weight, bias = self.layer.weight, self.layer.bias
        if self.how == "transposed":
            return (self.layer(state).tanh() @ weight).sin()
        if self.how == "both":
            return self.layer(state).tanh() + F.linear(state, weight.tril())
        if self.how == "normed":
            return F.linear(state, F.normalize(weight, dim=1), bias).tanh()
        return F.linear(state, weight * (weight > 0), bias).tanh()


class Listed(Part):
    """Parameters in a list or a dict."""

    def build(self) -> None:
        weights = [nn.Parameter(torch.randn(self.width, self.width) / 2) for _ in range(2)]
        named = {"first": weights[0], "second": weights[1]}
        self.weights = self.choose.choice([nn.ParameterList(weights), nn.ParameterDict(named)])

    def forward(self, state: Tensor, view: View) -> Tensor:
        weights = self.weights
        for weight in weights.values() if isinstance(weights, nn.ParameterDict) else weights:
            state = torch.tanh(state @ weight)
        return state


class Encoder(Part):
    """A child that is used through a method that is not `forward`."""

    class Child(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.gain, self.inner = nn.Parameter(torch.rand(width)), nn.Linear(width, width)

        def encode(self, x: Tensor) -> Tensor:
            return torch.tanh(self.inner(x * self.gain))

    def build(self) -> None:
        self.child = self.Child(self.width)

    def forward(self, state: Tensor, view: View) -> Tensor:
        return self.child.encode(state)


class Scaled(Part):
    """Parameters of the part's own: a vector, a number, none at all of zero size."""

    def build(self) -> None:
        self.gain = nn.Parameter(torch.rand(self.width) + 0.5)
        self.shift = nn.Parameter(torch.rand(()))
        self.power = nn.Parameter(torch.rand(1))
        if self.choose.random() < 0.3:
            self.nothing = nn.Parameter(torch.empty(0, self.width))

    def forward(self, state: Tensor, view: View) -> Tensor:
        return torch.tanh(state * self.gain + self.shift) * self.power.exp()


class Normed(Part):
    """Norms, with and without parts of their own."""

    def build(self) -> None:
        width = self.width
        norms = [
            nn.LayerNorm(width),
            nn.LayerNorm(width, bias=False),
            nn.RMSNorm(width, eps=1e-3),
            nn.PReLU(),
        ]
        self.norm, self.layer = self.choose.choice(norms), self.linear()

    def forward(self, state: Tensor, view: View) -> Tensor:
        return self.norm(self.layer(state) + state)


class Computed(Part):
    """A layer whose weight is computed before each call."""

    def build(self) -> None:
        hows = [parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal]
        self.layer = self.choose.choice([*hows, nn.utils.weight_norm, nn.utils.spectral_norm])(self.linear())

    def forward(self, state: Tensor, view: View) -> Tensor:
        return torch.tanh(self.layer(state))


class Repeated(Part):
    """One layer several times: in a loop, on chunks, on rows, again in the backward pass."""

    def build(self) -> None:
        self.layer = self.linear()
        self.how = self.choose.choice(["loop", "chunks", "rows", "checkpoint"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "chunks":
            return torch.cat([self.layer(part).tanh() for part in state.split(2)])
        if self.how == "rows":
            return torch.stack([self.layer(row).tanh() for row in state])
        if self.how == "checkpoint":
            return checkpoint(lambda x: self.layer(x).tanh(), state, use_reentrant=False)
        for _ in range(3):
            state = self.layer(state).tanh()
        return state


class Shared(Part):
    """A layer that sees something that all examples share, beside the batch or in one tensor with it."""

    def build(self) -> None:
        self.layer = self.linear()
        self.how = self.choose.choice(["in front", "alone", "vmap"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "in front":
            shared = torch.ones(1, *state.shape[1:], dtype=state.dtype)
            out = self.layer(torch.cat([shared, state]))
            return out[1:].tanh() + out[:1].sin()
        if self.how == "vmap":
            return torch.vmap(lambda row: F.linear(row, self.layer.weight, self.layer.bias).tanh())(state)
        shared = self.layer(torch.ones(self.width, dtype=state.dtype))
        return self.layer(state).tanh() + shared.sin()


class Pair(NamedTuple):
    """Two tensors."""

    one: Tensor
    two: Tensor


class Structured(Part):
    """A child with a parameter of its own that takes and gives no bare tensors."""

    class Child(nn.Module):
        def __init__(self, width: int, kind: str) -> None:
            super().__init__()
            self.kind, self.weight = kind, nn.Parameter(torch.randn(width, width) / 2)

        def forward(self, given: Any) -> Any:
            one, two = (given["one"], given["two"]) if self.kind == "dict" else given
            one, two = one @ self.weight, two @ self.weight.T
            makers = {"list": lambda: [one, two], "dict": lambda: {"one": one, "two": two}}
            return makers.get(self.kind, lambda: Pair(one, two))()

    def build(self) -> None:
        self.kind = self.choose.choice(["list", "dict", "pair"])
        self.child, self.only_second = self.Child(self.width, self.kind), self.choose.random() < 0.5

    def forward(self, state: Tensor, view: View) -> Tensor:
        given: Any = {"list": [state, state.sin()], "dict": {"one": state, "two": state.sin()}}.get(
            self.kind, Pair(state, state.sin())
        )
        found = self.child(given)
        one, two = (found["one"], found["two"]) if self.kind == "dict" else found
        return torch.tanh(two) if self.only_second else torch.tanh(one) + two.sin()


class Halved(Part):
    """Gradients that are stopped, passed straight through, or never made."""

    def build(self) -> None:
        self.layer, self.other = self.linear(), self.linear()
        self.how = self.choose.choice(["detach", "straight", "no_grad", "unused", "saved"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        h = self.layer(state)
        if self.how == "detach":
            return h.tanh() * self.other(state).detach()
        if self.how == "straight":
            return h + (h.sign() - h).detach()
        if self.how == "no_grad":
            with torch.no_grad():
                gate = self.other(state).sigmoid()
            return h * gate
        if self.how == "saved":
            self.memory = [self.other(state)]
            return h.tanh() + self.memory.pop().sin()
        return h.tanh()


class Wrapped(Part):
    """A layer that is more than its class says: a subclass, a patched forward, hooks, a functional call."""

    class Triangular(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
            return F.linear(input, self.weight.tril(), self.bias)

    def build(self) -> None:
        self.how = self.choose.choice(["subclass", "patched", "hook", "pre_hook", "functional_call"])
        self.layer = self.Triangular(self.width, self.width) if self.how == "subclass" else self.linear()
        layer = self.layer
        if self.how == "patched":
            layer.forward = lambda x: F.linear(x, layer.weight * 2, layer.bias)  # type: ignore[method-assign]
        if self.how == "hook":
            layer.register_forward_hook(lambda _m, _a, out: out * 2 + 1)
        if self.how == "pre_hook":
            layer.register_forward_pre_hook(lambda _m, args: (args[0].sin(),))

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "functional_call":
            halved = {name: p / 2 for name, p in self.layer.named_parameters()}
            return torch.func.functional_call(self.layer, halved, (state,)).tanh()
        return self.layer(state).tanh()


class Multiplied(Part):
    """Products of two layers: bilinear, gated, low rank, by a filter in frequency."""

    def build(self) -> None:
        self.how = self.choose.choice(["bilinear", "gated", "low rank", "filter", "outer"])
        if self.how == "bilinear":
            self.layer: nn.Module = nn.Bilinear(self.width, self.width, self.width)
        if self.how in {"gated", "outer"}:
            self.layer, self.gate = self.linear(), self.linear(bias=False)
        if self.how == "low rank":
            self.down, self.up = (nn.Parameter(torch.randn(self.width, 2)) for _ in range(2))
        if self.how == "filter":
            self.filter = nn.Parameter(torch.randn(self.width // 2 + 1, 2))

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "bilinear":
            return self.layer(state, state.sin()).tanh()
        if self.how == "low rank":
            return (state @ self.down @ self.up.T).tanh()
        if self.how == "filter":
            spectrum = torch.fft.rfft(state) * torch.view_as_complex(self.filter)
            return torch.fft.irfft(spectrum, n=self.width).tanh()
        if self.how == "outer":
            return torch.einsum("...i,...j->...i", self.layer(state), self.gate(state).tanh())
        return self.layer(state) * self.gate(state).sigmoid()


PARTS = (
    Dense,
    Dense,
    InPlace,
    Functional,
    Derived,
    Listed,
    Encoder,
    Scaled,
    Normed,
    Computed,
    Repeated,
    Shared,
    Structured,
    Halved,
    Wrapped,
    Multiplied,
)
