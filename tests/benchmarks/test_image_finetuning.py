"""The image case in its smallest form: owners, truths, and networks trained together as if each were alone."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from benchmarks.tasks.image_finetuning.images import FIRST_LATER_CLASS, images_of
from benchmarks.tasks.image_finetuning.protocol import SMOKE, network
from benchmarks.tasks.image_finetuning.runs import fine_tune, pretrain
from benchmarks.tasks.image_finetuning.task import APART, base_parameters, checkpoints, make_task, prepare
from benchmarks.tasks.image_finetuning.truths import keep_truths, truth_of
from benchmarks.tasks.networks import state_dicts
from benchmarks.tasks.truth import KINDS
from byline.models.optimizer_state import adam_state
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in place of `.bench`, with all networks and truths of the smallest protocol.

    Yields:
        The folder.
    """
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.tasks.image_finetuning.task.CACHE", folder)
        for kind in KINDS:
            keep_truths(SMOKE, 0, kind)
        yield folder


def test_owners_have_images_of_later_classes_and_no_image_twice() -> None:
    found = images_of(SMOKE)
    assert (found.train.y >= FIRST_LATER_CLASS).all()
    assert (found.train.query_y >= FIRST_LATER_CLASS).all()
    assert (found.pretraining.y < FIRST_LATER_CLASS).all()
    assert len(torch.unique(found.train.x, dim=0)) == len(found.train.x) == SMOKE.owners * SMOKE.images
    assert [found.owners.count(owner) for owner in sorted(set(found.owners))] == [SMOKE.images] * SMOKE.owners


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize(("kind", "left_out"), [("halves", 12), ("removals", 1), ("owners", SMOKE.images)])
def test_a_truth_is_what_task_train_gives(kind: str, left_out: int) -> None:
    truth, task = np.load(truth_of(SMOKE, 0, kind)), make_task(SMOKE, 0)
    subsets_SR, outputs_TSE = truth["subsets"], truth["outputs"]
    assert ((~subsets_SR).sum(axis=1) == left_out).all()
    assert len(outputs_TSE) == SMOKE.orders
    x, y = (torch.stack(part) for part in zip(*task.evaluation_set, strict=True))
    for order, subset in [(0, 0), (1, len(subsets_SR) - 1)]:
        model = network(SMOKE)
        model.load_state_dict(task.train(np.flatnonzero(subsets_SR[subset]).tolist(), order))
        alone = -F.cross_entropy(model(x), y, reduction="none").detach().numpy()
        np.testing.assert_allclose(outputs_TSE[order, subset], alone, rtol=1e-4, atol=1e-5)
    tuning = np.load(truth_of(SMOKE, 0, kind, reported=False))
    assert tuning["outputs"].shape[2] == SMOKE.tuning


@pytest.mark.usefixtures("prepared")
def test_networks_that_are_trained_together_are_torchs_trained_alone() -> None:
    data, start = images_of(SMOKE).train, base_parameters(SMOKE, 0)
    rows_MS = torch.stack([torch.randperm(24)[:20].sort().values for _ in range(3)])
    together = state_dicts(fine_tune(start, data, rows_MS, 7, SMOKE), APART)
    for rows, found in zip(rows_MS, together, strict=True):
        model = network(SMOKE)
        model.load_state_dict(state_dicts(start, APART)[0])
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
        generator = torch.Generator().manual_seed(7)
        steps, done = SMOKE.epochs * 5, 0
        for _ in range(SMOKE.epochs):
            key_R = torch.rand(24, generator=generator)
            left = [
                row for row in key_R.argsort().tolist() if row in rows.tolist()
            ]  # the common order without the others
            for batch in torch.tensor(left).split(SMOKE.batch):
                optimizer.param_groups[0]["lr"] = SMOKE.learning_rate * (1 - done / steps)
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
                optimizer.step()
                done += 1
        for name, p in model.state_dict().items():
            torch.testing.assert_close(found[name], p, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("prepared")
def test_checkpoints_lie_along_the_run_with_the_moments_of_their_parameters() -> None:
    prepare(SMOKE)
    found = checkpoints(SMOKE, 0)
    assert len(found) == len(SMOKE.along)
    model = network(SMOKE)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, SMOKE.widths[0])).sum().backward()
    optimizer.step()
    form = {name: values.shape for name, values in adam_state(optimizer, model).items()}
    assert {name: values.shape for name, values in load_file(found[0].optimizer_state).items()} == form
    weights = [load_file(each.weights)["0.weight"] for each in found]
    assert all(not torch.equal(a, b) for a, b in pairwise(weights))


def test_pretrained_networks_differ() -> None:
    found = images_of(SMOKE)
    first, again, second = (pretrain(found.pretraining, seed, SMOKE) for seed in (50, 50, 51))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], second[0])


@pytest.mark.usefixtures("prepared")
def test_the_case_is_evaluated_by_its_truth(tmp_path: Path) -> None:
    config = BuildConfig.model_validate(
        {
            "task": "benchmarks.tasks.image_finetuning.task:smoke_0",
            "recipe": {"name": "grad_dot"},
            "index": {"path": tmp_path / "index"},
        }
    )
    options = EvaluationOptions(
        out=tmp_path / "out", metric="owner", tuning=0, truth=truth_of(SMOKE, 0, "owners")
    )
    measured = evaluate(config, options).measured.measurement
    assert measured.protocol.owners == SMOKE.owners
    assert set(measured.baselines) == {"representation"}
