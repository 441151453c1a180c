"""Parts that mix the positions of an example: attention, recurrence, convolution, positions, flattened frames."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import rnn

from tests.byline.gradients.random_models.part import Part
from tests.byline.gradients.random_models.view import View

LONGEST = 9
"""Positions that tables of positions have room for."""


class Attention(Part):
    """Attention of all kinds, batch first or second, over an example's own positions."""

    def build(self) -> None:
        self.how = self.choose.choice(["module", "encoder", "latents", "relative", "class token"])
        self.first = self.choose.random() < 0.5
        if self.how == "encoder":
            norm_first = self.choose.random() < 0.5
            layer = nn.TransformerEncoderLayer(
                self.width, 2, self.width, batch_first=self.first, norm_first=norm_first
            )
            self.attention: Any = nn.TransformerEncoder(
                layer, 1, enable_nested_tensor=self.choose.random() < 0.5
            )
        else:
            self.attention = nn.MultiheadAttention(self.width, 2, batch_first=self.first)
        if self.how == "latents":
            self.latents = nn.Parameter(torch.randn(1, 2, self.width))
        if self.how == "relative":
            shape = (2 * LONGEST, 1)
            self.table: Any = (
                nn.Embedding(*shape) if self.choose.random() < 0.5 else nn.Parameter(torch.randn(shape))
            )
        if self.how == "class token":
            self.token = nn.Parameter(torch.randn(self.width))

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid, padding = view.grid(state), ~view.mask_NT
        if self.how == "encoder":
            turned = grid if self.first else grid.transpose(0, 1)
            out = self.attention(turned, src_key_padding_mask=padding)
            return view.back(out if self.first else out.transpose(0, 1))
        if self.how == "latents":
            found = self.attend(self.latents.expand(view.count, -1, -1), grid, padding)
            return state + view.spread(found.mean(1))
        if self.how == "class token":
            longer = torch.cat([self.token.expand(view.count, 1, -1), grid], dim=1)
            more = torch.cat([padding.new_zeros(view.count, 1), padding], dim=1)
            return view.back(self.attend(longer, longer, more)[:, 1:])
        if self.how == "relative":
            places = torch.arange(view.length)
            distances = places[:, None] - places[None] + LONGEST
            bias = self.table(distances) if isinstance(self.table, nn.Module) else self.table[distances]
            weights = (grid @ grid.transpose(1, 2) + bias.permute(2, 0, 1)).masked_fill(
                padding[:, None], -1e9
            )
            return view.back(weights.softmax(2) @ grid)
        return view.back(self.attend(grid, grid, padding))

    def attend(self, queries: Tensor, keys: Tensor, padding: Tensor) -> Tensor:
        if self.first:
            return self.attention(queries, keys, keys, key_padding_mask=padding)[0]
        turned = keys.transpose(0, 1)
        return self.attention(queries.transpose(0, 1), turned, turned, key_padding_mask=padding)[0].transpose(
            0, 1
        )


class Recurrent(Part):
    """Recurrence of all kinds; the state of each step or the last one."""

    def build(self) -> None:
        self.how = self.choose.choice(["output", "second", "last", "packed", "cell", "own cell"])
        kinds = [nn.RNN, nn.LSTM, nn.GRU]
        if self.how == "cell":
            self.cell = self.choose.choice([nn.RNNCell, nn.LSTMCell, nn.GRUCell])(self.width, self.width)
        elif self.how == "own cell":
            self.into, self.onto = self.linear(), self.linear(bias=False)
        else:
            first = self.how != "second"
            self.layer = self.choose.choice(kinds)(self.width, self.width, batch_first=first)

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid = view.grid(state)
        if self.how in {"cell", "own cell"}:
            return view.back(torch.stack(list(self.steps(grid)), dim=1))
        if self.how == "second":
            return view.back(self.layer(grid.transpose(0, 1))[0].transpose(0, 1))
        if self.how == "output":
            return view.back(self.layer(grid)[0])
        lengths = view.mask_NT.sum(1)
        pack = rnn.pack_padded_sequence(grid, lengths, batch_first=True, enforce_sorted=False)
        out, last = self.layer(pack)
        if self.how == "packed":
            return view.back(rnn.pad_packed_sequence(out, batch_first=True, total_length=view.length)[0])
        hidden = last[0] if isinstance(last, tuple) else last
        return state + view.spread(hidden[-1])

    def steps(self, grid: Tensor) -> Any:
        memory: Any = None
        for step in grid.unbind(1):
            if self.how == "cell":
                memory = self.cell(step, memory)
            else:
                memory = torch.tanh(self.into(step) + (0 if memory is None else self.onto(memory)))
            yield memory[0] if isinstance(memory, tuple) else memory


class Convolved(Part):
    """Convolutions along the positions, or over positions and features as an image."""

    def build(self) -> None:
        self.how = self.choose.choice(["plain", "depthwise", "image", "normed", "circular"])
        width, groups = self.width, self.width if self.how == "depthwise" else 1
        mode = "circular" if self.how == "circular" else "zeros"
        size = 1 if self.how == "circular" else 3
        more: dict[str, Any] = {"padding": size // 2, "groups": groups, "padding_mode": mode}
        image = self.how == "image"
        self.layer = nn.Conv2d(1, 2, 3, padding=1) if image else nn.Conv1d(width, width, size, **more)
        self.norm = nn.BatchNorm1d(width)
        for name, number in self.norm.named_buffers():
            if name.startswith("running"):
                number.uniform_(0.5, 2)

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid = view.grid(state) * view.mask_NT[..., None]
        if self.how == "image":
            return view.back(self.layer(grid[:, None]).sum(1).tanh())
        out = self.layer(grid.transpose(1, 2))
        return view.back((self.norm(out) if self.how == "normed" else out).transpose(1, 2).tanh())


class Placed(Part):
    """Positions, shared by the examples in every way there is."""

    def build(self) -> None:
        self.how = self.choose.choice(
            ["bare", "unsqueezed", "row", "expanded", "parameter", "bag", "computed"]
        )
        if self.how == "parameter":
            self.places: Any = nn.Parameter(torch.randn(1, LONGEST, self.width))
        elif self.how == "bag":
            self.places = nn.EmbeddingBag(LONGEST, self.width, mode=self.choose.choice(["sum", "mean"]))
        else:
            self.places = nn.Embedding(LONGEST, self.width)
        self.layer = self.linear()

    def forward(self, state: Tensor, view: View) -> Tensor:
        places = torch.arange(view.length)
        if self.how == "parameter":
            added = self.places[:, : view.length]
        elif self.how == "bag":  # the places of each example, behind one another
            lengths = view.mask_NT.sum(1)
            every = torch.cat([torch.arange(int(n)) for n in lengths])
            return state + view.spread(self.places(every, lengths.cumsum(0) - lengths))
        elif self.how == "bare":
            added = self.places(places)
        elif self.how == "row":
            added = self.places(places[None])
        elif self.how == "expanded":
            added = self.places(places.expand(view.count, -1))
        elif self.how == "computed":
            added = self.layer(self.places(places))[None]
        else:
            added = self.places(places)[None]
        return view.back(self.layer(view.grid(state) + added).tanh())


class Flattened(Part):
    """The batch and the positions as one axis, in one order or the other; only what is no padding; by a place."""

    def build(self) -> None:
        self.layer = self.linear()
        self.how = self.choose.choice(["frames", "time first", "selected", "pairs", "one place", "tail"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid = view.grid(state)
        if self.how == "frames":
            return view.back(self.layer(grid.reshape(-1, self.width)).tanh().view(grid.shape))
        if self.how == "time first":
            turned = grid.transpose(0, 1)
            return view.back(
                self.layer(turned.reshape(-1, self.width)).view(turned.shape).tanh().transpose(0, 1)
            )
        if self.how == "selected":
            out = torch.zeros_like(grid)
            out[view.mask_NT] = self.layer(grid[view.mask_NT]).tanh()
            return view.back(out)
        if self.how == "pairs":
            both = grid[:, :, None] + grid[:, None]
            weights = view.mask_NT[:, None, :, None].to(grid.dtype)
            return view.back((self.layer(both).tanh() * weights).sum(2))
        if self.how == "one place":
            return state + view.spread(self.layer(grid[:, 0]).tanh())
        last = view.mask_NT.sum(1) - 1
        return state + view.spread(self.layer(grid[torch.arange(view.count), last]).tanh())


PARTS = (Attention, Recurrent, Convolved, Placed, Flattened)
