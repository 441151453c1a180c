"""Small training runs in float64 for the metagradient: an MLP and a transformer, with SGD and AdamW.

Both are smooth, and AdamW's eps is large. The outcome of a rough run is no smooth function of a point's weight, and its
slope says little of leaving the point out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tests.reference.metagradient import AdamW, Run, Sgd, Tensors
from tests.reference.models import Case, cross_entropy

QUERIES = 6
EPS = 1e-3
Optimizers = Callable[[list[float]], Sgd | AdamW]


@dataclass(frozen=True)
class Trained:
    """A run, its queries, and the case whose model starts it."""

    case: Case
    run: Run
    query_losses: Callable[[Tensors], Tensor]

    @property
    def query_rows(self) -> range:
        """Examples of the case that are asked about. Those before them are trained on."""
        return range(self.run.points, self.case.count)


def losses_of(case: Case, parameters: Tensors, rows: list[int]) -> Tensor:
    """Losses of some examples under these parameters."""
    return case.loss(lambda x: functional_call(case.model, parameters, (x,)), case.some(rows))


def trained(case: Case, optimizer: Optimizers, rate: float, steps: int, batch: int = 4) -> Trained:
    """A run over random batches with rates that fall by half, of all examples but the last `QUERIES`."""
    points = case.count - QUERIES
    generator = torch.Generator().manual_seed(0)
    run = Run(
        start={name: p.detach().clone() for name, p in case.model.named_parameters()},
        losses=lambda parameters, rows_B: losses_of(case, parameters, rows_B.tolist()),
        batches=[torch.randperm(points, generator=generator)[:batch] for _ in range(steps)],
        optimizer=optimizer([rate * (1 - step / (2 * steps)) for step in range(steps)]),
        points=points,
    )
    queries = list(range(points, case.count))
    return Trained(case, run, lambda parameters: losses_of(case, parameters, queries))


def network() -> nn.Module:
    """An MLP of one hidden layer."""
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double().eval()


def classifier(count: int = 36) -> Case:
    """Three overlapping clusters; a sixth of the labels is wrong."""
    torch.manual_seed(0)
    model = network()
    labels = torch.arange(count) % 3
    x = torch.eye(3, 5, dtype=torch.float64)[labels] * 2 + torch.randn(count, 5, dtype=torch.float64)
    labels[::6] = (labels[::6] + 1) % 3
    return Case(model, cross_entropy, (x, labels), count)


class Transformer(nn.Module):
    """One block of causal attention and an MLP, with a tied head."""

    def __init__(self, vocabulary: int = 9, width: int = 6, context: int = 6) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.before, self.between, self.after = (nn.LayerNorm(width) for _ in range(3))
        self.sides, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for embedding in (self.tokens, self.places):
            nn.init.normal_(embedding.weight, std=0.3)
        self.head.weight = self.tokens.weight

    def forward(self, tokens_NT: Tensor) -> Tensor:
        h = self.tokens(tokens_NT) + self.places(torch.arange(tokens_NT.shape[1]))
        queries, keys, values = self.sides(self.before(h)).chunk(3, dim=-1)
        scores = queries @ keys.transpose(1, 2) / h.shape[-1] ** 0.5
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        h = h + self.out(scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ values)
        h = h + self.down(F.gelu(self.up(self.between(h))))
        return self.head(self.after(h))


def transformer() -> nn.Module:
    """The transformer in float64."""
    return Transformer().double().eval()


def mean_token_loss(model: nn.Module, tokens_NT: Tensor) -> Tensor:
    """Mean loss of the next tokens of each example."""
    logits = model(tokens_NT)
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens_NT[:, 1:], reduction="none").mean(dim=1)


def language(count: int) -> Case:
    """Sequences that count upwards in steps of 1 or 2, with one random token each."""
    torch.manual_seed(1)
    model = transformer()
    begin, stride = torch.randint(0, 9, (count, 1)), 1 + torch.arange(count)[:, None] % 2
    tokens = (begin + stride * torch.arange(6)) % 9
    tokens[torch.arange(count), torch.randint(0, 6, (count,))] = torch.randint(0, 9, (count,))
    return Case(model, mean_token_loss, tokens, count)


RUNS: dict[str, Callable[[], Trained]] = {
    "mlp-sgd": lambda: trained(classifier(), Sgd, 0.3, steps=40),
    "mlp-adamw": lambda: trained(classifier(), partial(AdamW, eps=EPS), 0.02, steps=40),
    "transformer-sgd": lambda: trained(language(46), Sgd, 0.3, steps=30, batch=10),
    "transformer-adamw": lambda: trained(language(46), partial(AdamW, eps=EPS), 0.01, steps=30, batch=10),
}
