"""A Task of short rows of words, of unlike lengths, with a small causal model: builds of it take a second.

Tests copy this file, as a user would.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils.rnn import pad_sequence

from byline.api.example import Example
from byline.task import Batch, Checkpoint, Item, Outputs, ParsedQuery, Positions, QueryInterface, Task

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "then", "it", "ran", "home", "."]
ROWS = 40
PREVIEWS = True


class Payload(BaseModel):
    """Words, the first of them the prompt."""

    model_config = ConfigDict(extra="forbid", strict=True)

    words: list[str] = Field(min_length=2, max_length=12)


class Reader(nn.Module):
    """Reads the mean of the words so far."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 6)
        self.inner = nn.Linear(6, 8)
        self.drop = nn.Dropout(0.25)
        self.head = nn.Linear(8, len(WORDS))

    def forward(self, ids_NT: Tensor) -> Tensor:
        """Logits [N, T, V]."""
        read_NTD = self.words(ids_NT)
        counts_T = torch.arange(1, ids_NT.shape[1] + 1, device=ids_NT.device)
        so_far_NTD = read_NTD.cumsum(dim=1) / counts_T[:, None] + read_NTD
        return self.head(self.drop(torch.tanh(self.inner(so_far_NTD))))


def losses(model: nn.Module, batch: Batch) -> Tensor:
    """Of each word given those before it; zero for the first."""
    return _losses(model(batch["ids"][:, :-1]), batch)


def _losses(logits_NTV: Tensor, batch: Batch) -> Tensor:
    labels_NT = batch["labels"][:, 1:]
    found = cross_entropy(
        logits_NTV.flatten(0, 1), labels_NT.flatten(), reduction="none", ignore_index=-100
    ).view_as(labels_NT)
    return pad(found, (1, 0))


def _mean(losses_NT: Tensor, batch: Batch) -> Tensor:
    return losses_NT.sum(1) / (batch["labels"][:, 1:] != -100).sum(1)


def _margin(losses_NT: Tensor, batch: Batch) -> Tensor:
    loss_N = _mean(losses_NT, batch)
    return -loss_N - torch.log(-torch.expm1(-loss_N))


def logit(model: nn.Module, batch: Batch) -> Tensor:
    """Sum of the words' logits: no function of the positions' losses."""
    labels_NT = batch["labels"][:, 1:]
    found = model(batch["ids"][:, :-1]).gather(2, labels_NT.clamp_min(0)[..., None])[..., 0]
    return (found * (labels_NT != -100)).sum(1)


def collate(items: list[Item]) -> Batch:
    """Pad with a word that counts for nothing."""
    return {
        "ids": pad_sequence(items, batch_first=True),
        "labels": pad_sequence(items, batch_first=True, padding_value=-100),
    }


def weights(seed: int) -> dict[str, Tensor]:
    """Random ones."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=generator) * 0.7
        for name, tensor in Reader().state_dict().items()
    }


def rows() -> list[Tensor]:
    """Rows of 3 to 9 words."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 10, (ROWS,), generator=generator).tolist()
    return [torch.randint(len(WORDS), (length,), generator=generator) for length in lengths]


def texts(item: Tensor) -> list[str]:
    """One a word, with the space before it."""
    return [(" " if place else "") + WORDS[word] for place, word in enumerate(item.tolist())]


def task() -> Task:
    """Two checkpoints."""
    data = rows()

    def describe(row: int) -> Example:
        preview = "".join(texts(data[row])) if PREVIEWS else None
        return Example(id=f"row-{row}", owner=f"owner {row % 3}", preview=preview)

    return Task(
        name="words",
        model=Reader,
        checkpoints=[Checkpoint(weights=weights(seed), learning_rate=0.1 * (seed + 1)) for seed in range(2)],
        train_set=data,
        describe=describe,
        collate=collate,
        loss=lambda model, batch: _mean(losses(model, batch), batch),
        targets={"margin": lambda model, batch: _margin(losses(model, batch), batch), "logit": logit},
        query=QueryInterface(
            payload=Payload,
            parse=lambda query: ParsedQuery(
                item=torch.tensor([WORDS.index(word) for word in query.words]), complete=True
            ),
        ),
        outputs=Outputs(
            compute=lambda model, batch: model(batch["ids"][:, :-1]),
            loss=lambda logits, batch: _mean(_losses(logits, batch), batch),
            relabel=lambda batch, labels: {
                **batch,
                "labels": torch.where(
                    batch["labels"] == -100, -100, torch.cat([batch["labels"][:, :1], labels], dim=1)
                ),
            },
        ),
        positions=Positions(losses=losses, values={"loss": _mean, "margin": _margin}, texts=texts),
        text=lambda item: "".join(texts(item)),
    )
