"""A diffusion model from a Task file to an answer: by the command line, over HTTP, and with the sign of real retraining.

The model of the sign is linear, so that the loss over the images' own draws has one optimum with a ridge.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from torch import Tensor, nn

import byline
from byline.__main__ import main
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from byline.tasks import Denoising, NoiseSchedule, TrainedModel, TrainingData, denoiser
from byline_service.app import create_app
from tests.service.keys import admin_key, bearer, prepared

ROWS, QUERIES, SIDE, REMOVED, RIDGE = 60, 10, 4, 8, 1e-2
TASK = """
import torch

from byline.task import Checkpoint
from byline.tasks import Denoising, NoiseSchedule, TrainedModel, TrainingData, denoiser
from tests.byline.tasks.unet import SmallUNet


def task():
    torch.manual_seed(0)
    images = torch.rand(20, 1, 8, 8)
    trained = TrainedModel(
        name="unet",
        model=SmallUNet,
        checkpoints=[Checkpoint(weights=SmallUNet().state_dict())],
        data=TrainingData.from_arrays(images, torch.arange(20) % 4),
    )
    return denoiser(trained, Denoising(schedule=NoiseSchedule.linear(100), draws=4, bands=2))
"""


class Linear(nn.Module):
    """One linear map of all pixels, whatever the timestep."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(SIDE * SIDE, SIDE * SIDE)

    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        del steps
        return self.map(x.flatten(1)).view_as(x)


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(4, 1, SIDE, SIDE, generator=generator)
    kind = torch.randint(4, (ROWS + QUERIES,), generator=generator)
    noise = torch.randn(ROWS + QUERIES, 1, SIDE, SIDE, generator=generator)
    return kinds[kind] + 0.6 * noise


def declared(weights: dict[str, Tensor]) -> Task:
    trained = TrainedModel(
        name="linear",
        model=Linear,
        checkpoints=[Checkpoint(weights=weights)],
        data=TrainingData.from_arrays(images()[:ROWS], torch.zeros(ROWS, dtype=torch.long)),
    )
    return denoiser(trained, Denoising(schedule=NoiseSchedule.linear(100, last=0.1), draws=4, bands=2))


def optimum(keep: np.ndarray) -> dict[str, Tensor]:
    """Least squares with a ridge over the kept images' draws, each with the weight of one of all."""
    task = declared(Linear().state_dict())
    batch = task.collate([task.train_set[int(row)] for row in np.flatnonzero(keep)])
    x = batch["noisy"].flatten(0, 1).flatten(1).double()
    y = batch["wanted"].flatten(0, 1).flatten(1).double()
    x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    scale = 2 / (ROWS * 4 * SIDE * SIDE)
    found = torch.linalg.solve(scale * x.T @ x + RIDGE * torch.eye(x.shape[1]), scale * x.T @ y)
    return {"map.weight": found[:-1].T.float().contiguous(), "map.bias": found[-1].float()}


def losses(keep: np.ndarray) -> np.ndarray:
    """The queries' losses of the model that was trained on the kept images."""
    task, model = declared(Linear().state_dict()), Linear()
    model.load_state_dict(optimum(keep))
    with torch.no_grad():
        batch = task.collate([(image, torch.tensor(0)) for image in images()[ROWS:]])
        return task.loss(model, batch).double().numpy()


@pytest.mark.parametrize("name", ["ekfac", "grad_dot", "trak"])
def test_proponents_helped_and_opponents_hurt(name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"projection": {"size": 272}}
    if name == "trak":
        changes |= {"train_signal": "loss", "query_target": "loss", "row_weight": "none"}
    everything = np.ones(ROWS, dtype=bool)
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    index = byline.build(
        declared(optimum(everything)), recipe(name, **changes), tmp_path, options, progress=False
    )
    scores_QR = index.item_scores([(image, torch.tensor(0)) for image in images()[ROWS:]])
    before, ups, downs = losses(everything), [], []
    for query, scores_R in enumerate(scores_QR):
        for rows, found in ((np.argsort(-scores_R), ups), (np.argsort(scores_R), downs)):
            keep = everything.copy()
            keep[rows[:REMOVED]] = False
            found.append(losses(keep)[query] - before[query])
    assert np.mean(ups) > 0 > np.mean(downs)
    assert (np.array(ups) > 0).mean() >= 0.8
    assert (np.array(downs) < 0).mean() >= 0.8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unet")
    (folder / "task.py").write_text(TASK)
    (folder / "build.toml").write_text(
        'task = "task.py:task"\n[recipe]\nname = "ekfac"\nprojection.size = 64\n[index]\npath = "index"\n'
    )
    with pytest.raises(SystemExit) as end:
        main(["build", str(folder / "build.toml")])
    assert not end.value.code
    return folder


def query() -> dict[str, Any]:
    torch.manual_seed(0)
    return {"image": torch.rand(20, 1, 8, 8)[7].flatten().tolist()}


def test_an_image_is_asked_by_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("loss", "square", "denoising_50_99"):
        words = [
            "query",
            str(folder / "index"),
            "--query",
            json.dumps(query()),
            "--target",
            target,
            "--json",
            "-k",
            "3",
        ]
        with pytest.raises(SystemExit) as end:
            main(words)
        assert not end.value.code
        answer = json.loads(capsys.readouterr().out)
        assert len(answer["proponents"]) == 3
        if target == "loss":
            assert answer["proponents"][0]["row"] == 7
            assert answer["proponents"][0]["example"]["label"] == "3"


def test_likeness_of_patches_is_scored_by_the_command_line(folder: Path) -> None:
    (folder / "queries.jsonl").write_text(json.dumps(query()))
    files = ["--queries", str(folder / "queries.jsonl"), "--out", str(folder / "patches.npy")]
    with pytest.raises(SystemExit) as end:
        main(["scores", str(folder / "index"), *files, "--baseline", "patches"])
    assert not end.value.code
    scores_QR = np.load(folder / "patches.npy")
    assert scores_QR.shape == (1, 20)
    assert scores_QR[0].argmax() == 7
    assert scores_QR[0, 7] == pytest.approx(1, abs=1e-5)


def test_an_image_is_asked_over_http(folder: Path, tmp_path: Path) -> None:
    app = create_app(prepared(tmp_path), {"unet": byline.open(folder / "index")})
    with TestClient(app, base_url="http://localhost", headers=bearer(admin_key())) as client:
        response = client.post("/v1/indexes/unet/attributions", json={"query": query(), "k": 2})
        assert response.status_code == 200, response.text
        assert response.json()["proponents"][0]["row"] == 7
        wrong = client.post("/v1/indexes/unet/attributions", json={"query": {"image": [0.0] * 63}})
        assert wrong.status_code == 422
