"""A diffusion model of scikit-learn's digits, and models that were really trained on random halves of them.

8 x 8 pixels, 600 training images, 40 held-out images as queries. The network is a small convolutional denoiser with a time
embedding. The truth is minus each query's loss over 32 draws, which is what the target `loss` says of the model.

Letters: S subsets, E queries.
"""

import math
from functools import cache

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks import CACHE
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import Denoising, NoiseSchedule, TrainedModel, TrainingData, denoiser
from byline.tasks.denoiser import collate
from byline.tasks.noise_schedule import Draws

KEPT = CACHE / "diffusion"
ROWS, QUERIES, STEPS, WIDTH = 600, 40, 200, 24
EPOCHS, BATCH, RATE = 40, 64, 2e-3
SCHEDULE = NoiseSchedule.cosine(STEPS)


class Denoiser(nn.Module):
    """Three convolutions with GroupNorm and a time embedding of sines."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rates", torch.exp(-math.log(1000) * torch.arange(8) / 8))
        self.time = nn.Sequential(nn.Linear(16, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH))
        self.first = nn.Conv2d(1, WIDTH, 3, padding=1)
        self.norm_1, self.middle = nn.GroupNorm(4, WIDTH), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.norm_2, self.wide = nn.GroupNorm(4, WIDTH), nn.Conv2d(WIDTH, WIDTH, 5, padding=2)
        self.last = nn.Conv2d(WIDTH, 1, 3, padding=1)

    def forward(self, noisy: Tensor, steps: Tensor) -> Tensor:
        angles = steps[:, None].to(self.rates.dtype) * self.rates
        one, two = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))[:, :, None, None].chunk(2, dim=1)
        h = self.first(noisy)
        h = h + self.middle(F.silu(self.norm_1(h) + one))
        h = h + self.wide(F.silu(self.norm_2(h) + two))
        return self.last(F.silu(h))


@cache
def images() -> tuple[Tensor, Tensor]:
    """All digits in a fixed order, pixels from -1 to 1: [N, 1, 8, 8] and classes [N]."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    scaled = torch.from_numpy(pixels[order] / 8 - 1).float().view(-1, 1, 8, 8)
    return scaled, torch.from_numpy(labels[order])


def trained(rows: np.ndarray, seed: int, epochs: int = EPOCHS) -> nn.Module:
    """Train on some rows with Adam, a new timestep and new noise at each visit."""
    torch.manual_seed(seed)
    model, data = Denoiser(), images()[0][torch.from_numpy(rows)]
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    count = epochs * math.ceil(len(data) / BATCH)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, count)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(data)), BATCH):
            steps_N = torch.randint(STEPS, (len(part),))
            noise_N = torch.randn_like(data[part])
            noisy, wanted = SCHEDULE.noisy(data[part][:, None], noise_N[:, None], steps_N[:, None])
            optimizer.zero_grad()
            (model(noisy[:, 0], steps_N) - wanted[:, 0]).square().mean().backward()
            optimizer.step()
            decay.step()
    return model.eval()


def query_losses(model: nn.Module, draws: int = 32) -> np.ndarray:
    """Mean loss of every query over its draws, [E]."""
    queries = [(image, 0) for image in images()[0][ROWS : ROWS + QUERIES]]
    batch = collate(Draws(steps=STEPS, count=draws), SCHEDULE, queries)
    with torch.no_grad():
        found = model(batch["noisy"].flatten(0, 1), batch["steps"].flatten())
        errors = (found - batch["wanted"].flatten(0, 1)).square().flatten(1).mean(dim=1)
    return errors.view(QUERIES, draws).mean(dim=1).numpy()


def truth(subsets: int, epochs: int = EPOCHS, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Train on random halves, and keep what they did.

    Args:
        subsets: Number S of halves.
        epochs: Epochs of each training.
        rows: Training images.

    Returns:
        Bool [S, rows], and minus the queries' losses [S, E].
    """
    path = KEPT / f"truth-{rows}-{subsets}-{epochs}.npz"
    if not path.exists():
        rng, chosen = np.random.default_rng(1), np.zeros((subsets, rows), dtype=bool)
        for half in chosen:
            half[rng.permutation(rows)[: rows // 2]] = True
        losses = [
            query_losses(trained(np.flatnonzero(half), 0, epochs)) for half in track(chosen, "retraining")
        ]
        KEPT.mkdir(parents=True, exist_ok=True)
        np.savez(path, subsets=chosen, outputs=-np.stack(losses))
    found = np.load(path)
    return found["subsets"], found["outputs"]


def task(epochs: int = EPOCHS, rows: int = ROWS, draws: int = 8) -> Task:
    """Declare the model that was trained on all rows."""
    path = KEPT / f"model-{rows}-{epochs}.safetensors"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        save_file(trained(np.arange(rows), 0, epochs).state_dict(), path)
    pixels, labels = images()
    examples = [Example(id=f"digit-{row}", label=str(int(labels[row]))) for row in range(rows)]
    model = TrainedModel(
        name="digits-diffusion",
        model=Denoiser,
        checkpoints=[Checkpoint(weights=load_file(path))],
        data=TrainingData.from_arrays(pixels[:rows], labels[:rows], examples),
    )
    return denoiser(model, Denoising(schedule=SCHEDULE, draws=draws, bands=4))
