"""A small GPT of 0.94 M parameters over synthetic text, for build time and memory.

4 layers, width 128, 4 heads, context 128, vocabulary 1,024 (tied head). Tokens follow Zipf's law; the weights are
as initialized, since passes cost the same under any weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from byline.api.example import Example
from byline.task import Checkpoint, Outputs, Task

VOCABULARY, WIDTH, LAYERS, HEADS, CONTEXT = 1024, 128, 4, 4, 128
SHORT = 32
"""Tokens of a text in the benchmark that builds every recipe."""
EVALUATED = 32
"""Texts in place of queries, for recipes whose curvature needs them."""


class Layer(nn.Module):
    """Attention and a feed-forward network, each after a LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm_1(x)).view(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, WIDTH)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm_2(x)))))


class GPT(nn.Module):
    """The network."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.places(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.layers(self.tokens(tokens) + places)))


class Texts:
    """`count` texts, each made on access: the data set itself needs no memory."""

    def __init__(self, count: int, tokens: int) -> None:
        self._count, self._tokens = count, tokens
        self._frequencies = 1 / torch.arange(1, VOCABULARY + 1).float()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index)
        drawn = torch.multinomial(self._frequencies, self._tokens + 1, replacement=True, generator=generator)
        return drawn[:-1], drawn[1:]


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """Mean loss over a text's tokens."""
    return output_loss(logits(model, batch), batch)


def logits(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """Compute the logits of the second and every further token, [N, T, V]."""
    found: Tensor = model(batch[0])
    return found


def output_loss(logits_NTV: Tensor, batch: list[Tensor]) -> Tensor:
    """The loss of given logits."""
    losses = F.cross_entropy(logits_NTV.flatten(0, 1), batch[1].flatten(), reduction="none")
    return losses.view(len(batch[1]), -1).mean(dim=1)


def margin(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """log p/(1-p) of the mean token probability."""
    loss_N = loss(model, batch)
    return -loss_N - torch.log(-torch.expm1(-loss_N))


def logit(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """The logit of the last token."""
    return logits(model, batch)[:, -1].gather(1, batch[1][:, -1:])[:, 0]


def weights() -> dict[str, Tensor]:
    """Initial weights, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GPT().state_dict()


def _task(count: int, tokens: int = CONTEXT) -> Task:
    return Task(
        name="gpt",
        model=GPT,
        checkpoints=[Checkpoint(weights=weights(), learning_rate=0.1)],
        train_set=Texts(count, tokens),
        describe=lambda row: Example(id=f"text-{row}", owner=f"author-{row % 50}"),
        loss=loss,
        targets={"margin": margin, "logit": logit},
        outputs=Outputs(
            compute=logits, loss=output_loss, relabel=lambda batch, labels_NT: [batch[0], labels_NT]
        ),
        evaluation_set=Texts(EVALUATED, tokens),
    )


def texts_64() -> Task:
    """64 texts."""
    return _task(64)


def texts_320() -> Task:
    """320 texts."""
    return _task(320)


def texts_2048() -> Task:
    """2,048 texts."""
    return _task(2048)


def texts_3200() -> Task:
    """3,200 texts."""
    return _task(3200)


def short_64() -> Task:
    """64 short texts."""
    return _task(64, SHORT)


def short_320() -> Task:
    """320 short texts."""
    return _task(320, SHORT)


def short_3200() -> Task:
    """3,200 short texts."""
    return _task(3200, SHORT)
