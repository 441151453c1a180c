"""Every module class of `torch.nn` that has parameters, alone and between two linear layers."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.gradients.cases import Expected, ModelCase
from tests.gradients.exactness import Subject

REFUSED: dict[str, Any] = {"expected": "refused"}
COUNTED = "a gradient depends on how often others have the token"
WIDTH, LENGTH, COUNT = 4, 6, 6
"""As many positions as items: a dimension that only looks like the batch."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to build and to call a module class."""

    words: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    """Draws the inputs of one item, without the dimension of the batch."""
    call: Callable[..., Tensor]
    """`(module, *inputs) -> output`, with the batch first."""
    expected: Expected = "exact"
    reason: str = ""


def forms() -> dict[str, list[Form]]:
    """Class name -> its forms."""
    return {
        **_plain(),
        **_convolutions(),
        **_norms(),
        **_embeddings(),
        **_recurrent(),
        **_cells(),
        **_attention(),
        **_transformers(),
        **_heads(),
        **_containers(),
    }


EXCLUDED = {
    "Module": "the base class",
    "Container": "the base class, by an old name",
    "RNNBase": "a base class without a forward of its own: RNN, LSTM and GRU are tested",
    "RNNCellBase": "a base class without a forward of its own: the three cells are tested",
}


def cases() -> list[ModelCase]:
    """Every form of every class, alone and in a small model."""
    found = []
    for kind, some in forms().items():
        for form in some:
            words = f", {form.words}" if form.words else ""
            shared: Any = {"kind": f"`nn.{kind}`", "expected": form.expected, "reason": form.reason}
            found += [
                ModelCase(**shared, form=f"alone{words}", subject=_alone(form)),
                ModelCase(**shared, form=f"in a small model{words}", subject=_inside(form)),
            ]
    return found


def classes() -> dict[str, type[nn.Module]]:
    """Every module class in the namespace of `torch.nn`."""
    members = inspect.getmembers(nn, inspect.isclass)
    return {name: kind for name, kind in members if issubclass(kind, nn.Module)}


def may_have_parameters(kind: type[nn.Module]) -> bool:
    """Tell whether a class or one that it extends makes parameters or holds modules that others made."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("torch.") and base is not nn.Module]
    sources = [inspect.getsource(base).replace(base.__doc__ or " ", " ") for base in bases]
    words = ("Parameter(", "register_parameter(", "add_module(", "Linear(", "self.module = ")
    return any(word in source for source in sources for word in words)


def _alone(form: Form) -> Callable[[], Subject]:
    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        output = form.call(model, *batch[:-1])
        flat = torch.tanh(output.reshape(len(batch[-1]), -1))
        weights = torch.linspace(-1, 1.5, flat.shape[1], dtype=flat.dtype)
        return (flat * weights).sum(dim=1) * (1 + batch[-1])

    return lambda: Subject(make=form.make, loss=loss, items=_items(form))


def _inside(form: Form) -> Callable[[], Subject]:
    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(*batch[:-1]), batch[-1], reduction="none")

    return lambda: Subject(make=lambda: SmallModel(form), loss=loss, items=_items(form))


def _items(form: Form) -> list[tuple[Tensor, ...]]:
    torch.manual_seed(1)
    return [(*form.inputs(), torch.tensor(n % 3)) for n in range(COUNT)]


class SmallModel(nn.Module):
    """A linear layer before the module, where its input is numbers, and one behind it."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        inputs = [part[None] for part in form.inputs()]
        self.call, self.middle = form.call, form.make()
        self.places = [n for n, part in enumerate(inputs) if part.is_floating_point() and part.dim() > 1]
        self.before = nn.ModuleList(
            [nn.Linear(inputs[n].shape[-1], inputs[n].shape[-1]) for n in self.places]
        )
        with torch.no_grad():
            output = form.call(self.middle.eval(), *inputs)
        self.after = nn.Linear(output[0].numel(), 3)

    def forward(self, *inputs: Tensor) -> Tensor:
        given = list(inputs)
        for place, linear in zip(self.places, self.before, strict=True):
            given[place] = linear(given[place])
        output = self.call(self.middle, *given)
        return self.after(output.reshape(len(inputs[0]), -1))


def numbers(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(*shape),)


def indices(*shape: int, below: int = 7) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randint(0, below, shape),)


def plainly(module: nn.Module, *inputs: Tensor) -> Tensor:
    return module(*inputs)


def batch_second(module: nn.Module, *inputs: Tensor) -> Tensor:
    return module(*(part.transpose(0, 1) for part in inputs)).transpose(0, 1)


def form(words: str, make: Callable[[], nn.Module], inputs: Any, call: Any = plainly, **more: Any) -> Form:
    return Form(words=words, make=make, inputs=inputs, call=call, **more)


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


def materialised(module: nn.Module, *inputs: Tensor) -> nn.Module:
    """A lazy module after its first call."""
    module(*inputs)
    for buffer in module.buffers():
        buffer.data.abs_()
    return module


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
            form("max_norm", table(max_norm=1.0), tokens, **REFUSED, reason="a look-up changes the weight"),
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


def _recurrent() -> dict[str, list[Form]]:
    def output(module: nn.Module, x: Tensor) -> Tensor:
        return module(x)[0]

    def second(module: nn.Module, x: Tensor) -> Tensor:
        return module(x.transpose(0, 1))[0].transpose(0, 1)

    def last_hidden(module: nn.Module, x: Tensor) -> Tensor:
        state = module(x)[1]
        return (state[0] if isinstance(state, tuple) else state)[-1]

    def last_cell(module: nn.Module, x: Tensor) -> Tensor:
        return module(x)[1][1].transpose(0, 1)

    def both(module: nn.Module, x: Tensor) -> Tensor:
        out, state = module(x)
        hidden = state[0] if isinstance(state, tuple) else state
        return torch.cat([out.flatten(1), hidden.transpose(0, 1).flatten(1)], dim=1)

    def from_state(module: nn.Module, x: Tensor, start: Tensor) -> Tensor:
        state = start[None]
        return module(x, (state, state) if isinstance(module, nn.LSTM) else state)[0]

    def packed(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        pack = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(module(pack)[0], batch_first=True, total_length=x.shape[1])[0]

    sequence = numbers(LENGTH, WIDTH)
    found = {}
    for name in ("RNN", "LSTM", "GRU"):
        kind = getattr(nn, name)

        def make(k: Any = kind, **more: Any) -> Callable[[], nn.Module]:
            return lambda: k(WIDTH, 5, **{"batch_first": True, **more})

        found[name] = [
            form("output", make(), sequence, output),
            form("batch second", make(batch_first=False), sequence, second),
            form("last state", make(), sequence, last_hidden),
            form("output and state", make(), sequence, both),
            form(
                "no bias, two layers, both directions",
                make(bias=False, num_layers=2, bidirectional=True),
                sequence,
                output,
            ),
            form("from a state", make(), lambda: (torch.randn(LENGTH, WIDTH), torch.randn(5)), from_state),
            form("packed", make(), lambda: (torch.randn(LENGTH, WIDTH), torch.randint(1, 7, ())), packed),
        ]
    found["LSTM"] += [
        form("cell state", lambda: nn.LSTM(WIDTH, 5, batch_first=True), sequence, last_cell),
        form("projected", lambda: nn.LSTM(WIDTH, 5, proj_size=3, batch_first=True), sequence, both),
    ]
    return found


def _cells() -> dict[str, list[Form]]:
    def once(module: nn.Module, x: Tensor) -> Tensor:
        state = module(x)
        return torch.cat(state, dim=1) if isinstance(state, tuple) else state

    def loop(module: nn.Module, x: Tensor) -> Tensor:
        state, seen = None, []
        for step in x.unbind(1):
            state = module(step, state)
            seen.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(seen, dim=1)

    return {
        name: [
            form("one step", lambda k=kind: k(WIDTH, 5), numbers(WIDTH), once),
            form("a loop", lambda k=kind: k(WIDTH, 5), numbers(LENGTH, WIDTH), loop),
        ]
        for name, kind in (("RNNCell", nn.RNNCell), ("LSTMCell", nn.LSTMCell), ("GRUCell", nn.GRUCell))
    }


def padding(lengths: Tensor, size: int) -> Tensor:
    """True where a position is padding: [N, T]."""
    return torch.arange(size)[None] >= lengths[:, None]


def _ragged() -> tuple[Tensor, ...]:
    return torch.randn(LENGTH, WIDTH), torch.randint(2, LENGTH + 1, ())


def _kept(output: Tensor, lengths: Tensor) -> Tensor:
    return output * ~padding(lengths, output.shape[1])[..., None]


def _attention() -> dict[str, list[Form]]:
    def own(module: nn.Module, x: Tensor) -> Tensor:
        return module(x, x, x, need_weights=False)[0]

    def second(module: nn.Module, x: Tensor) -> Tensor:
        return own(module, x.transpose(0, 1)).transpose(0, 1)

    def weights_too(module: nn.Module, x: Tensor) -> Tensor:
        out, weights = module(x, x, x)
        return torch.cat([out.flatten(1), weights.flatten(1)], dim=1)

    def masked(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        mask = padding(lengths, x.shape[1])
        return _kept(module(x, x, x, key_padding_mask=mask, need_weights=False)[0], lengths)

    def causal(module: nn.Module, x: Tensor) -> Tensor:
        mask = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        return module(x, x, x, attn_mask=mask, need_weights=False)[0]

    def across(module: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return module(q, k, v)[0]

    def three() -> tuple[Tensor, ...]:
        return torch.randn(3, WIDTH), torch.randn(LENGTH, 3), torch.randn(LENGTH, 5)

    def make(**more: Any) -> Callable[[], nn.Module]:
        return lambda: nn.MultiheadAttention(WIDTH, 2, **{"batch_first": True, **more})

    sequence = numbers(LENGTH, WIDTH)
    return {
        "MultiheadAttention": [
            form("", make(), sequence, own),
            form("batch second", make(batch_first=False), sequence, second),
            form("weights too", make(), sequence, weights_too),
            form("padding mask", make(), _ragged, masked),
            form("causal mask", make(), sequence, causal),
            form("bias of keys and values", make(add_bias_kv=True, add_zero_attn=True), sequence, own),
            form("no bias", make(bias=False), sequence, own),
            form("other widths", make(kdim=3, vdim=5), three, across),
        ]
    }


def _transformers() -> dict[str, list[Form]]:
    def layer(name: str, **more: Any) -> Callable[[], nn.Module]:
        sizes = {"d_model": WIDTH, "nhead": 2, "dim_feedforward": 5, "batch_first": True}
        return lambda: getattr(nn, name)(**{**sizes, **more})

    def stack(name: str, **more: Any) -> Callable[[], nn.Module]:
        return lambda: getattr(nn, name)(layer(f"{name}Layer", **more)(), 2)

    def masked(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        return _kept(module(x, src_key_padding_mask=padding(lengths, x.shape[1])), lengths)

    def masked_second(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        mask = padding(lengths, x.shape[1])
        return _kept(module(x.transpose(0, 1), src_key_padding_mask=mask).transpose(0, 1), lengths)

    def remembered(module: nn.Module, x: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        return module(x, memory, memory_key_padding_mask=padding(lengths, memory.shape[1]))

    def two() -> tuple[Tensor, ...]:
        return torch.randn(LENGTH, WIDTH), torch.randn(3, WIDTH)

    def two_ragged() -> tuple[Tensor, ...]:
        return *two(), torch.randint(1, 4, ())

    one, found = numbers(LENGTH, WIDTH), {}
    for name, make in (("TransformerEncoderLayer", layer), ("TransformerEncoder", stack)):
        found[name] = [
            form("", make(name), one),
            form("batch second", make(name, batch_first=False), one, batch_second),
            form("padding mask", make(name), _ragged, masked),
            form("padding mask, batch second", make(name, batch_first=False), _ragged, masked_second),
            form("norm first, GELU", make(name, norm_first=True, activation="gelu"), one),
            form("no bias", make(name, bias=False), one),
        ]
    for name, make in (("TransformerDecoderLayer", layer), ("TransformerDecoder", stack)):
        found[name] = [
            form("", make(name), two),
            form("batch second", make(name, batch_first=False), two, batch_second),
            form("padding mask", make(name), two_ragged, remembered),
            form("norm first", make(name, norm_first=True), two),
        ]
    found["Transformer"] = [
        form(words, layer("Transformer", num_encoder_layers=1, num_decoder_layers=1, **more), two, call)
        for words, more, call in (
            ("", {}, plainly),
            ("batch second", {"batch_first": False}, batch_second),
            ("norm first", {"norm_first": True}, plainly),
        )
    ]
    return found


def _heads() -> dict[str, list[Form]]:
    def labelled() -> tuple[Tensor, ...]:
        return torch.randn(WIDTH), torch.randint(0, 9, ())

    return {
        "AdaptiveLogSoftmaxWithLoss": [
            form(
                "of a label",
                lambda: nn.AdaptiveLogSoftmaxWithLoss(WIDTH, 9, [3, 6], div_value=1.5),
                labelled,
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
            form("", lambda: nn.LinearCrossEntropyLoss(WIDTH, 9, bias=True, reduction="none"), labelled),
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
