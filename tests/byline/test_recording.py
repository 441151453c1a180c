"""A recorded run: what it keeps equals autograd, and it is bit for bit the run without a recorder."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from byline.api.example import Example
from byline.errors import InvalidInput, InvalidTask, NonFiniteGradient
from byline.index.recordings import open_recording
from byline.recipes import Recipe, recipe
from byline.recording import RecorderOptions, TrainingRecorder
from byline.task import Checkpoint, Task

ROWS, STEPS, RATE = 40, 7, 0.3
CHOSEN = recipe("logra", projection={"kind": "identity"}, curvature={"kind": "trajectory"}, sides="one_sided")


class Noisy:
    """Items whose making draws from every global generator, as augmentation does."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._x = torch.randn(ROWS, 5, generator=generator)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
        return self._x[row], row % 3


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 3))


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


def declared(folder: Path) -> Task:
    return Task(
        name="noisy",
        model=network,
        checkpoints=[Checkpoint(weights=folder / "not-there-yet.safetensors", recording=folder / "run")],
        train_set=Noisy(),
        describe=lambda row: Example(id=f"point-{row}"),
        loss=loss,
    )


def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randperm(ROWS, generator=generator)[: 8 + step] for step in range(STEPS)]


Observe = Callable[[nn.Module, Tensor], None]


def train(
    task: Task, observe: Callable[[nn.Module], tuple[Observe, Callable[[], None]]] | None = None
) -> nn.Module:
    """SGD with dropout and momentum; `observe` is told of every step before it is taken."""
    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    model = network().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    step, end = observe(model) if observe else (lambda *_: None, lambda: None)
    for rows in batches():
        items = task.collate([task.train_set[int(row)] for row in rows])
        optimizer.zero_grad()
        loss(model, items).mean().backward()
        step(model, rows)
        optimizer.step()
    end()
    return model


def recorded(
    task: Task, folder: Path, chosen: Recipe = CHOSEN, options: RecorderOptions | None = None
) -> nn.Module:
    def observe(model: nn.Module) -> tuple[Observe, Callable[[], None]]:
        recorder = TrainingRecorder(task, chosen, model, folder, options).__enter__()
        return lambda _, rows: recorder.step(rows, RATE), lambda: recorder.__exit__(None, None, None)

    return train(task, observe)


def test_a_recorded_run_is_bit_for_bit_the_unrecorded_one(tmp_path: Path) -> None:
    task = declared(tmp_path)
    plain = train(task)
    after = (torch.rand(1), random.random(), np.random.rand())  # noqa: NPY002
    watched = recorded(task, tmp_path / "run")
    assert (torch.rand(1), random.random(), np.random.rand()) == after  # noqa: NPY002
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name])
    assert watched.training
    for parameter in watched.parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None
    assert not watched._forward_hooks


def test_it_keeps_each_examples_gradient_at_the_weights_before_the_step(tmp_path: Path) -> None:
    task = declared(tmp_path)
    expected: list[Tensor] = []

    def observe(_model: nn.Module) -> tuple[Observe, Callable[[], None]]:
        def step(model: nn.Module, rows: Tensor) -> None:
            with torch.random.fork_rng(devices=[]):
                copy = network().eval()
            copy.load_state_dict(model.state_dict())
            for row in rows.tolist():
                with torch.random.fork_rng(devices=[]):
                    item = task.train_set[row]
                value = loss(copy, task.collate([item]))
                grads = torch.autograd.grad(value.sum(), list(copy.parameters()))
                (w0, b0, w1, b1, w2, b2) = grads
                first = torch.cat([w0, b0[:, None]], dim=1).flatten()
                expected.append(torch.cat([first, w1, b1, torch.cat([w2, b2[:, None]], dim=1).flatten()]))

        return step, lambda: None

    train(task, observe)
    recorded(task, tmp_path / "run", options=RecorderOptions(batch_rows=3))
    found = open_recording(tmp_path / "run")
    span = found.read(0)
    assert len(found.spans) == 1
    torch.testing.assert_close(span.phi_NK, torch.stack(expected), rtol=1e-4, atol=1e-6)
    assert torch.equal(span.rows_N, torch.cat(batches()))
    assert span.sizes_S.tolist() == [len(rows) for rows in batches()]
    assert span.rates_S.tolist() == [RATE] * STEPS
    assert found.head.rows == ROWS
    assert found.head.width == span.phi_NK.shape[1]


def test_a_long_run_is_cut_into_spans_of_whole_steps(tmp_path: Path) -> None:
    task = declared(tmp_path)
    recorded(task, tmp_path / "whole")
    recorded(task, tmp_path / "cut", options=RecorderOptions(span_bytes=1))
    whole, cut = open_recording(tmp_path / "whole"), open_recording(tmp_path / "cut")
    assert [span.steps for span in cut.spans] == [1] * STEPS
    parts = [cut.read(number) for number in range(STEPS)]
    assert torch.equal(torch.cat([part.phi_NK for part in parts]), whole.read(0).phi_NK)
    assert torch.equal(torch.cat([part.rows_N for part in parts]), whole.read(0).rows_N)


def test_a_run_that_raises_stays_incomplete(tmp_path: Path) -> None:
    task, model = declared(tmp_path), network()

    def interrupted() -> None:
        with TrainingRecorder(task, CHOSEN, model, tmp_path / "run") as recorder:
            recorder.step([0, 1], RATE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(InvalidTask, match="incomplete"):
        open_recording(tmp_path / "run")


@pytest.mark.parametrize(
    ("rows", "rate", "words"),
    [
        ([], RATE, "non-empty"),
        ([[1, 2]], RATE, "list of integers"),
        ([0.5], RATE, "integers"),
        ([True], RATE, "integers"),
        ([ROWS], RATE, "rows from 0 to 39"),
        ([-1], RATE, "rows from 0 to 39"),
        ([0], 0.0, "above zero"),
        ([0], float("nan"), "above zero"),
    ],
)
def test_what_is_no_step_is_refused(tmp_path: Path, rows: list, rate: float, words: str) -> None:
    with (
        pytest.raises(InvalidInput, match=words),
        TrainingRecorder(declared(tmp_path), CHOSEN, network(), tmp_path / "run") as recorder,
    ):
        recorder.step(rows, rate)


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    task = declared(tmp_path)
    with pytest.raises(InvalidInput, match="recipe of a recorded run"):
        TrainingRecorder(task, recipe("ekfac"), network(), tmp_path / "run").__enter__()
    with pytest.raises(InvalidTask, match="without wrappers"):
        TrainingRecorder(task, CHOSEN, nn.Linear(5, 3), tmp_path / "run").__enter__()
    with pytest.raises(InvalidInput, match="outside"):
        TrainingRecorder(task, CHOSEN, network(), tmp_path / "run").step([0], RATE)
    with (
        pytest.raises(InvalidInput, match="at least one recorded step"),
        TrainingRecorder(task, CHOSEN, network(), tmp_path / "run"),
    ):
        pass
    with pytest.raises(InvalidInput, match="new or empty folder"):
        TrainingRecorder(task, CHOSEN, network(), tmp_path / "run").__enter__()


SCALED = {"kind": "second_moment", "power": 0.25, "factored": False, "floor": 1e-3}


def test_adamw_scales_each_step_by_its_own_moments(tmp_path: Path) -> None:
    task, chosen = (
        declared(tmp_path),
        CHOSEN.model_copy(update={"scale": recipe("dvemb", scale=SCALED).scale}),
    )

    def run(recorder: TrainingRecorder | None, model: nn.Module) -> None:
        torch.manual_seed(0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.8), weight_decay=0.5)
        for rows in batches():
            optimizer.zero_grad()
            loss(model, task.collate([task.train_set[int(row)] for row in rows])).mean().backward()
            if recorder:
                recorder.step(rows, 0.01, optimizer)
            optimizer.step()

    torch.manual_seed(0)
    plain, watched = network().train(), network().train()
    watched.load_state_dict(plain.state_dict())
    run(None, plain)
    with TrainingRecorder(task, chosen, watched, tmp_path / "adamw") as recorder:
        run(recorder, watched)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name])
    span = open_recording(tmp_path / "adamw").read(0)
    assert span.decays_S is not None
    torch.testing.assert_close(span.decays_S, torch.full((STEPS,), 0.005, dtype=torch.float64))
    assert torch.equal(span.rows_N, torch.cat(batches()))
    assert open_recording(tmp_path / "adamw").head.scale["power"] == 0.25


def test_the_optimizer_and_the_scale_go_together(tmp_path: Path) -> None:
    task, model = declared(tmp_path), network()
    optimizer = torch.optim.AdamW(model.parameters())
    scaled = CHOSEN.model_copy(update={"scale": recipe("dvemb", scale=SCALED).scale})
    with TrainingRecorder(task, CHOSEN, model, tmp_path / "sgd") as recorder:
        recorder.step([0], RATE)
        with pytest.raises(InvalidInput, match="recipe has no scale and records plain SGD, got one"):
            recorder.step([0], RATE, optimizer)
    with TrainingRecorder(task, scaled, model, tmp_path / "adamw") as recorder:
        recorder.step([0], RATE, optimizer)
        with pytest.raises(InvalidInput, match="the recipe has a scale, got no optimizer: pass the AdamW"):
            recorder.step([0], RATE)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = network()
    with TrainingRecorder(declared(tmp_path), CHOSEN, model, tmp_path / "run") as recorder:
        recorder.step([0], RATE)
        nn.init.constant_(model[0].weight, float("nan"))
        with pytest.raises(NonFiniteGradient):
            recorder.step([0], RATE)
