"""Candidates chosen for a target set, against random ones: a small language model is really trained on them.

    python -m benchmarks.accuracy.selection          # 6 minutes on one core
    python -m benchmarks.accuracy.selection --smoke  # seconds: fewer texts and steps, no figure means anything

A byte-level transformer of 0.1 M parameters is trained on 384 pieces of Python's own standard library, in equal parts of six
packages. 300 more pieces are candidates, and 40 held-out pieces of one package are the target. `Attributor.score_candidates`
ranks the candidates. Then the model is trained anew on the 384 pieces and 40 candidates: the best, random ones, the worst.
"""

import argparse
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

import byline
from benchmarks.report import Targets
from byline.task import Checkpoint, Outputs, Task

LIBRARY = Path(sysconfig.get_path("stdlib"))
PACKAGES = tuple(
    name
    for name in ("email", "asyncio", "tkinter", "xml", "pydoc_data", "unittest")
    if any((LIBRARY / name).glob("*.py"))  # Debian's Python comes without tkinter
)
TARGET = "pydoc_data"
WIDTH, HEADS, LAYERS, BYTES, LENGTH = 64, 4, 2, 256, 64
RATE = 3e-3


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run."""

    train: int = 384
    candidates: int = 300
    target: int = 40
    chosen: int = 40
    epochs: int = 16
    seeds: int = 2


SMOKE = Sizes(train=48, candidates=30, target=6, chosen=6, epochs=2, seeds=1)


class Layer(nn.Module):
    """Causal attention and a feed-forward network, each after a LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm_1(x)).view(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, WIDTH)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class ByteModel(nn.Module):
    """The network."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(BYTES, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, BYTES)

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.places(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.layers(self.tokens(tokens) + places)))


def logits(model: nn.Module, batch: Tensor) -> Tensor:
    """Predict every byte but the first."""
    found: Tensor = model(batch[:, :-1])
    return found


def output_loss(logits_NTV: Tensor, batch: Tensor) -> Tensor:
    """Mean over the bytes of a piece, in nats."""
    losses = F.cross_entropy(logits_NTV.flatten(0, 1), batch[:, 1:].flatten(), reduction="none")
    return losses.view(len(batch), -1).mean(dim=1)


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    """The loss of pieces."""
    return output_loss(logits(model, batch), batch)


def pieces(count: int, seed: int = 0) -> tuple[list[Tensor], list[str]]:
    """Draw pieces of the packages' source, in turn, and name the package of each."""
    generator = torch.Generator().manual_seed(seed)
    found: list[Tensor] = []
    texts = {
        name: b"\n".join(
            p.read_bytes() for p in sorted((LIBRARY / name).rglob("*.py")) if p.stat().st_size > 4000
        )
        for name in PACKAGES
    }
    names = [PACKAGES[place % len(PACKAGES)] for place in range(count)]
    starts = {
        name: torch.randperm(len(text) // (LENGTH + 1) - 1, generator=generator)
        for name, text in texts.items()
    }
    for place, name in enumerate(names):
        start = int(starts[name][place // len(PACKAGES)]) * (LENGTH + 1)
        found.append(torch.tensor(list(texts[name][start : start + LENGTH + 1])))
    return found, names


def trained(items: list[Tensor], epochs: int, seed: int) -> nn.Module:
    """Train on pieces with Adam and a linear decay."""
    torch.manual_seed(seed)
    model, data = ByteModel(), torch.stack(items)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = epochs * (len(data) // 32 + 1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(data)), 32):
            optimizer.zero_grad()
            loss(model, data[rows]).mean().backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def task(model: nn.Module, items: list[Tensor], epochs: int) -> Task:
    """Declare the trained model. Its learning rate is the schedule's mean, which `finite_run` multiplies by the steps."""
    return Task(
        name="bytes",
        model=ByteModel,
        checkpoints=[
            Checkpoint(
                weights={n: p.detach() for n, p in model.state_dict().items()},
                learning_rate=RATE / 2,
                steps=epochs * (len(items) // 32 + 1),
            )
        ],
        train_set=items,
        describe=lambda row: byline.Example(id=f"piece-{row}"),
        loss=loss,
        collate=torch.stack,
        outputs=Outputs(compute=logits, loss=output_loss, relabel=_relabeled),
    )


def _relabeled(batch: Tensor, labels_NT: Tensor) -> Tensor:
    return torch.cat([batch[:, :1], labels_NT], dim=1)


def main() -> int:
    """Print the table; 1 if the best candidates do not help more than random ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    sizes = SMOKE if smoke else Sizes()
    items, names = pieces(sizes.train + sizes.candidates + sizes.target * len(PACKAGES))
    train, rest = items[: sizes.train], items[sizes.train :]
    candidates, sources = rest[: sizes.candidates], names[sizes.train :][: sizes.candidates]
    held_out = zip(rest[sizes.candidates :], names[sizes.train + sizes.candidates :], strict=True)
    target = [item for item, name in held_out if name == TARGET]
    with tempfile.TemporaryDirectory() as folder:
        declared = task(trained(train, sizes.epochs, 0), train, sizes.epochs)
        chosen_recipe = byline.recipe("ekfac_pca", curvature={"filter": "finite_run"})
        index = byline.build(declared, chosen_recipe, folder, progress=False)
        found = index.score_candidates(candidates, target)
    order, rng = found.order, np.random.default_rng(0)
    arms = {
        "none": order[:0],
        "random": rng.permutation(sizes.candidates)[: sizes.chosen],
        "worst": order[-sizes.chosen :],
        "best": order[: sizes.chosen],
    }
    table = Table(
        "40 candidates more", "of the target's package", "target's loss, nats a byte", "change", "predicted"
    )
    measured: dict[str, float] = {}
    assert found.predicted_changes is not None
    for name, chosen in track(arms.items(), description="training"):
        measured[name] = target_loss([*train, *(candidates[place] for place in chosen)], target, sizes)
        own = sum(sources[place] == TARGET for place in chosen)
        change = measured[name] - measured["none"]
        predicted = float(found.predicted_changes[chosen].sum())
        table.add_row(name, str(own), f"{measured[name]:.4f}", f"{change:+.4f}", f"{predicted:+.4f}")
    Console(width=110).print(table)
    targets = Targets()
    targets.at_least("random less best, nats a byte", measured["random"] - measured["best"], 0.01)
    targets.at_least("worst less random, nats a byte", measured["worst"] - measured["random"], 0.0)
    return 0 if smoke else targets.exit_code()


def target_loss(items: list[Tensor], target: list[Tensor], sizes: Sizes) -> float:
    """The target's mean loss after training on these pieces, over the seeds."""
    losses = []
    for seed in range(sizes.seeds):
        with torch.no_grad(), torch.random.fork_rng():
            with torch.enable_grad():
                model = trained(items, sizes.epochs, seed)
            losses.append(float(loss(model, torch.stack(target)).mean()))
    return float(np.mean(losses))


if __name__ == "__main__":
    raise SystemExit(main())
