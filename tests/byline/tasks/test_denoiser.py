"""Diffusion models: the loss, its targets, exact gradients of a U-Net, and an index from build to query."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import byline
from byline.errors import InvalidQuery, InvalidTask
from byline.gradients.checks import build_collector
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from byline.tasks import Denoising, NoiseSchedule, TrainedModel, TrainingData, denoiser
from tests.byline.tasks.unet import SmallUNet
from tests.reference import reference

CLASSES = ["zero", "one", "two"]
ROWS, STEPS = 24, 100


def images(count: int = ROWS, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(0))


def declared(*, classes: bool = False, channels: int = 1, double: bool = False, **options: Any) -> Task:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = SmallUNet(3 if classes else 0, channels).state_dict()

    def model() -> nn.Module:
        made = SmallUNet(3 if classes else 0, channels)
        return made.double() if double else made

    chosen = {"schedule": NoiseSchedule.linear(STEPS), "draws": 4, "bands": 2, **options}
    trained = TrainedModel(
        name="tiny-denoiser",
        model=model,
        checkpoints=[Checkpoint(weights=weights)],
        data=TrainingData.from_arrays(
            images(channels=channels),
            torch.arange(ROWS) % 3,
            dtype=torch.float64 if double else torch.float32,
        ),
    )
    return denoiser(trained, Denoising(**chosen), classes=CLASSES if classes else None)


def network(task: Task) -> nn.Module:
    made = task.model()
    made.load_state_dict(dict(task.checkpoints[0].weights))  # type: ignore[arg-type]
    return made.eval()


def batch_of(task: Task, rows: range) -> Any:
    return task.collate([task.train_set[row] for row in rows])


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_the_loss_is_the_mean_squared_error_over_the_draws(prediction: Any) -> None:
    schedule = NoiseSchedule.cosine(STEPS, prediction)
    task = declared(schedule=schedule)
    model, batch = network(task), batch_of(task, range(5))
    with torch.no_grad():
        for row in range(5):
            found = []
            for draw in range(4):
                step, noisy = batch["steps"][row, draw], batch["noisy"][row, draw]
                kept = schedule.alphas_cumprod[int(step)]
                noise = (noisy - kept**0.5 * images()[row]) / (1 - kept) ** 0.5
                wanted = {
                    "epsilon": noise,
                    "v": kept**0.5 * noise - (1 - kept) ** 0.5 * images()[row],
                    "sample": images()[row],
                }[prediction]
                output = model(noisy[None], step[None])[0]
                found.append([(output - wanted).square().mean(), output.square().mean()])
            loss, square = torch.tensor(found).mean(dim=0)
            torch.testing.assert_close(task.loss(model, batch)[row], loss, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(
                task.targets["square"](model, batch)[row], square, rtol=1e-4, atol=1e-5
            )


def test_the_bands_are_the_loss_apart() -> None:
    task = declared(draws=6, bands=3)
    model, batch = network(task), batch_of(task, range(5))
    names = [name for name in task.targets if name.startswith("denoising")]
    assert names == ["denoising_0_32", "denoising_33_65", "denoising_66_99"]
    with torch.no_grad():
        bands = torch.stack([task.targets[name](model, batch) for name in names])
        torch.testing.assert_close(-bands.mean(dim=0), task.loss(model, batch))


@pytest.mark.parametrize("target", ["loss", "square", "denoising_0_49"])
def test_gradients_of_a_unet_are_exact(target: str) -> None:
    task = declared(classes=True, double=True, channels=2)
    model, objective = network(task), task.objective(target)
    collector = build_collector(
        model, objective, lambda count: task.collate([task.train_set[row] for row in [0, 1, 0][:count]])
    )
    found = collector.collect(objective, batch_of(task, range(5)), 5)
    names = [p for block in collector.blocks for p in block.parameters]
    assert set(names) == {name for name, _ in model.named_parameters()}
    alone = [batch_of(task, range(row, row + 1)) for row in range(5)]
    rows = reference.gradients_one_by_one(model, objective, alone, names)
    for block, expected in reference.block_matrices(collector.blocks, rows).items():
        torch.testing.assert_close(found.blocks[block].dense(), torch.tensor(expected), rtol=1e-8, atol=1e-10)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> byline.Attributor:
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    chosen = recipe("ekfac", projection={"size": 128})
    return byline.build(
        declared(classes=True), chosen, tmp_path_factory.mktemp("index"), options, progress=False
    )


class Small(nn.Module):
    """So few parameters that every gradient is written out."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.first, self.last = nn.Linear(1, 2), nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 1)

    def forward(self, noisy: Tensor, steps: Tensor) -> Tensor:
        time = self.time(steps[:, None].to(noisy.dtype) / STEPS)[:, :, None, None]
        return self.last(torch.tanh(self.first(noisy) + time))


def test_d_trak_is_the_formula_of_the_predictions_square(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights = Small().state_dict()
    data = TrainingData.from_arrays(images(), torch.zeros(ROWS, dtype=torch.long))
    trained = TrainedModel(name="small", model=Small, checkpoints=[Checkpoint(weights=weights)], data=data)
    task = denoiser(trained, Denoising(schedule=NoiseSchedule.linear(STEPS), draws=4, bands=2))
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    chosen = recipe("d_trak", projection={"kind": "identity"}, curvature={"damping": 0.1})
    index = byline.build(task, chosen, tmp_path, options, progress=False)
    found_QR = index.scores([{"image": images()[row].flatten().tolist()} for row in (2, 9)])

    model = Small().double()
    model.load_state_dict(weights)
    rows = []
    for row in range(ROWS):
        batch = {
            k: v.double() if v.is_floating_point() else v
            for k, v in batch_of(task, range(row, row + 1)).items()
        }
        model.zero_grad()
        predicted = [model(batch["noisy"][:, draw], batch["steps"][:, draw]) for draw in range(4)]
        torch.stack([each.square().mean() for each in predicted]).mean().backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).numpy())
    phi_RP = np.stack(rows)
    expected_QR = reference.fisher_scores(phi_RP[[2, 9]], phi_RP, 0.1, [phi_RP.shape[1]])
    assert np.abs(found_QR - expected_QR).max() <= 2e-4 * np.abs(expected_QR).max()


def payload(row: int, **more: Any) -> dict[str, Any]:
    return {"image": images()[row].flatten().tolist(), "label": CLASSES[row % 3], **more}


def test_a_training_image_finds_itself(index: byline.Attributor) -> None:
    for row in (0, 7, 23):
        answer = index.attribute(payload(row), k=2)
        assert answer.proponents[0].row == row
        assert answer.proponents[0].score == pytest.approx(index.self_influence()[row], rel=1e-3)


def test_a_label_is_needed_where_the_model_takes_it(index: byline.Attributor) -> None:
    query = payload(3)
    del query["label"]
    with pytest.raises(InvalidQuery, match="with its label"):
        index.attribute(query)
    free = declared()
    assert free.query is not None
    assert free.query.parse(free.query.payload(image=query["image"])).complete


def test_candidates_are_images(index: byline.Attributor) -> None:
    found = index.score_candidates([payload(row) for row in range(4)], [payload(9)])
    np.testing.assert_allclose(found.scores_N, index.scores([payload(9)])[0, :4], rtol=1e-3, atol=1e-4)
    assert found.effect.unit == "the unit of 'loss'"


def test_more_draws_of_an_image_make_its_loss_less_noisy() -> None:
    spread = []
    for draws in (2, 16):
        task = declared(draws=draws, bands=1)
        model, image = network(task), images()[0]
        batch = task.collate([(image, torch.tensor(0), number) for number in range(40)])
        with torch.no_grad():
            spread.append(float(task.loss(model, batch).std()))
    assert spread[1] < 0.6 * spread[0]


def test_outputs_of_diffusers_are_understood() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = SmallUNet()

        def forward(self, x: Tensor, steps: Tensor) -> Any:
            return type("Output", (), {"sample": self.net(x, steps)})()

    task = declared()
    model, wrapped = network(task), Wrapped()
    wrapped.net.load_state_dict(model.state_dict())
    batch = batch_of(task, range(3))
    torch.testing.assert_close(task.loss(wrapped, batch), task.loss(model, batch))
    with pytest.raises(InvalidTask, match="input's shape"):
        task.loss(Flat(), batch)


class Flat(nn.Module):
    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        del steps
        return x.flatten(1)


@pytest.mark.parametrize(
    "options", [{"draws": 0}, {"draws": 6, "bands": 4}, {"draws": 101}, {"bands": 0}, {"draws": 2.5}]
)
def test_wrong_numbers_of_draws(options: dict) -> None:
    with pytest.raises(InvalidTask, match="draws"):
        declared(**options)


def test_data_that_are_no_images() -> None:
    data = TrainingData.from_arrays(torch.rand(4, 5), torch.zeros(4, dtype=torch.long))
    trained = TrainedModel(
        name="t", model=SmallUNet, checkpoints=[Checkpoint(weights=SmallUNet().state_dict())], data=data
    )
    with pytest.raises(InvalidTask, match=r"\[C, H, W\]"):
        denoiser(trained, Denoising(schedule=NoiseSchedule.linear(10)))


def test_the_documented_task() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/diffusion.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "mytask"}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], names)  # noqa: S102
    task = names["task"]()
    model = task.model()
    assert task.loss(model, batch_of(task, range(3))).shape == (3,)
    assert set(task.targets) == {"square", *(f"denoising_{n}_{n + 249}" for n in range(0, 1000, 250))}
