"""Recurrence, attention and transformers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.byline.gradients.torch_modules.form import (
    LENGTH,
    WIDTH,
    Form,
    batch_second,
    form,
    numbers,
    padding,
    plainly,
)


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


def forms() -> dict[str, list[Form]]:
    """Class name -> its forms."""
    return {**_recurrent(), **_cells(), **_attention(), **_transformers()}
