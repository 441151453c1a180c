"""Parts that treat examples by what they are, change their places, or split the batch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.byline.gradients.random_models.part import Part
from tests.byline.gradients.random_models.view import View

KINDS = 3


class ByKind(Part):
    """A table, heads or vectors that an example's kind chooses from."""

    def build(self) -> None:
        self.how = self.choose.choice(
            ["table", "select", "one hot", "embedding", "functional", "gather", "bmm"]
        )
        shape = (KINDS, self.width)
        if self.how == "embedding":
            self.table: Any = nn.Embedding(*shape, sparse=self.choose.random() < 0.3)
        elif self.how == "bmm":
            self.table = nn.Parameter(torch.randn(KINDS, self.width, self.width) / 2)
        else:
            self.table = nn.Parameter(torch.randn(shape))

    def forward(self, state: Tensor, view: View) -> Tensor:
        kind = view.kind_N
        if self.how == "bmm":
            return view.back((view.grid(state) @ self.table[kind]).tanh())
        if self.how == "select":
            rows = self.table.index_select(0, kind)
        elif self.how == "one hot":
            rows = F.one_hot(kind, KINDS).to(state.dtype) @ self.table
        elif self.how == "embedding":
            rows = self.table(kind)
        elif self.how == "functional":
            rows = F.embedding(kind, self.table)
        elif self.how == "gather":
            rows = self.table.gather(0, kind[:, None].expand(-1, self.width))
        else:
            rows = self.table[kind]
        return torch.tanh(state + view.spread(rows))


class Experts(Part):
    """Layers that see only what comes to them: by kind, by content, by a learned router."""

    def build(self) -> None:
        self.experts = nn.ModuleList([self.linear() for _ in range(KINDS)])
        self.router = nn.Linear(self.width, KINDS)
        self.how = self.choose.choice(["kind", "content", "routed", "every", "where"])
        self.write = self.choose.choice(["index_copy", "index_add_", "assign"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        flat = state.reshape(-1, self.width)
        weights = self.router(flat).softmax(1)
        if self.how in {"kind", "every", "where"}:
            chosen = view.spread(view.kind_N[:, None]).reshape(-1)
        else:
            chosen = weights.argmax(1) if self.how == "routed" else (flat[:, 0] > 0).long()
        if self.how == "every":
            every = torch.stack([expert(flat) for expert in self.experts], dim=1)
            return every[torch.arange(len(flat)), chosen].tanh().view(state.shape)
        if self.how == "where":
            out = flat
            for number, expert in enumerate(self.experts):
                out = torch.where((chosen == number)[:, None], expert(flat).tanh(), out)
            return out.view(state.shape)
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            mine = (chosen == number).nonzero().flatten()
            if not len(mine):
                continue
            found = expert(flat[mine]).tanh()
            if self.how == "routed":
                found = found * weights[mine, number, None]
            out = self.put(out, mine, found)
        return out.view(state.shape)

    def put(self, out: Tensor, places: Tensor, found: Tensor) -> Tensor:
        if self.write == "index_copy":
            return out.index_copy(0, places, found)
        if self.write == "index_add_":
            return out.index_add_(0, places, found)
        out[places] = found
        return out


class Conditional(Part):
    """A layer that some batches, or some inputs, reach; the value of an example is the same in every batch."""

    def build(self) -> None:
        self.layer, self.rare = self.linear(), self.linear()
        self.how = self.choose.choice(
            ["any kind", "early exit", "large batch, same function", "odd batch, same function"]
        )

    def forward(self, state: Tensor, view: View) -> Tensor:
        if self.how == "any kind":
            mine = view.kind_N == KINDS - 1
            if not bool(mine.any()):
                return state
            return state + view.spread(mine[:, None].to(state.dtype)) * self.rare(state).tanh()
        if self.how == "early exit":
            keep = (view.pool(state)[:, 0] > 0.3).nonzero().flatten()
            if not len(keep):
                return state
            grid = view.grid(state)
            return view.back(grid.index_copy(0, keep, grid[keep] + self.rare(grid[keep]).tanh()))
        other = view.count > 3 if self.how.startswith("large") else view.count % 2 == 1
        if other:
            return F.linear(state, self.layer.weight, self.layer.bias).tanh()
        return self.layer(state).tanh()


class Moved(Part):
    """Examples change places before a layer, and change back behind it."""

    def build(self) -> None:
        self.layer, self.norm = self.linear(), nn.LayerNorm(self.width)
        self.how = self.choose.choice(["sorted", "reversed", "rolled", "by kind", "rotated by kind"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid, places = view.grid(state), torch.arange(view.count)
        order = {
            "sorted": grid[:, 0, 0].argsort(),
            "reversed": places.flip(0),
            "rolled": places.roll(1),
            "by kind": view.kind_N.argsort(stable=True),
            "rotated by kind": places.roll(int(view.kind_N.sum())),
        }[self.how]
        return view.back(self.norm(self.layer(grid[order]).tanh())[order.argsort()])


class Views(Part):
    """Several versions of each example in one batch, behind one another or side by side; parts of the batch."""

    def build(self) -> None:
        self.layer = self.linear()
        self.how = self.choose.choice(["behind", "beside", "halves", "mirrored", "twice", "more and less"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid = view.grid(state)
        if self.how == "behind":
            one, two = self.layer(torch.cat([grid, grid.sin()])).tanh().chunk(2)
            return view.back(one * two)
        if self.how == "beside":
            both = (
                self.layer(torch.stack([grid, grid.sin()], dim=1).flatten(0, 1)).tanh().unflatten(0, (-1, 2))
            )
            return view.back(both[:, 0] * both[:, 1])
        if self.how == "mirrored":
            one, two = self.layer(torch.cat([grid, grid.flip(0)])).tanh().chunk(2)
            return view.back(one + two.flip(0).sin())
        if self.how == "halves":
            half = (view.count + 1) // 2
            return view.back(torch.cat([self.layer(grid[:half]).tanh(), self.layer(grid[half:]).tanh()]))
        if self.how == "twice":
            first = self.layer(grid[:, 0])
            return view.back(self.layer(grid).tanh() + first[:, None].sin())
        padded = torch.cat([grid, grid.new_zeros(2, *grid.shape[1:])])
        return view.back(self.layer(padded).tanh()[: view.count])


class Generated(Part):
    """Weights that another layer makes: from a code of the model's own, from a kind, from each example."""

    def build(self) -> None:
        self.how = self.choose.choice(["code", "kind", "example", "shared twice"])
        self.code = nn.Parameter(torch.randn(1, self.width))
        self.kinds = nn.Embedding(KINDS, self.width)
        self.make = nn.Linear(self.width, self.width * self.width)

    def forward(self, state: Tensor, view: View) -> Tensor:
        grid, width = view.grid(state), self.width
        if self.how == "code":
            return (state @ self.make(self.code).view(width, width) / 2).tanh()
        if self.how == "kind":
            return view.back((grid @ self.make(self.kinds(view.kind_N)).view(-1, width, width) / 2).tanh())
        if self.how == "example":
            return view.back((grid @ self.make(view.pool(state)).view(-1, width, width) / 2).tanh())
        shared = self.make(self.kinds.weight).view(KINDS, width, width)
        return view.back((grid @ shared[view.kind_N] / 2).tanh())


PARTS = (ByKind, Experts, Conditional, Moved, Views, Generated)
