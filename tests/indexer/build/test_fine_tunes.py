"""A LoRA fine-tune is one argument: built, asked, and its scores those of plain autograd over the adapter alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

import byline
from byline.attribution.request import AttributionRequest
from byline.index.layout import StorageOptions
from byline.members import Member
from byline.models.network import load_network
from byline.recipes import recipe
from byline.tasks import LocalModel, causal_language_model
from tests.byline.tasks.adapters import save_adapter, tuned_model


@pytest.fixture
def built(lm_folder: Path, documents: list, tmp_path: Path):
    save_adapter(lm_folder, tmp_path / "adapter", modules_to_save=["ln_f"])
    local = LocalModel(folder=lm_folder, adapter=tmp_path / "adapter")
    task = causal_language_model("tuned", local, documents)
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    return task, byline.build(
        task, recipe("grad_dot", projection={"kind": "identity"}), tmp_path / "index", options, progress=False
    )


def test_scores_equal_brute_force_over_the_adapter(built) -> None:
    task, index = built
    model = load_network(task, Member(0)).double()
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert len(parameters) == 6, "two matrices of two layers, and a norm"
    rows = []
    for row in range(len(task.train_set)):
        loss = task.loss(model, task.collate([task.train_set[row]])).sum()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(parameters.values()))]))
    gradients_NP = torch.stack(rows)
    expected_NN = (gradients_NP @ gradients_NP.T).numpy()
    scores_NN = index.item_scores(task.train_set)
    np.testing.assert_allclose(scores_NN, expected_NN, rtol=1e-4, atol=1e-6 * np.abs(expected_NN).max())


def test_gradients_of_the_peft_model_itself_are_understood(built, lm_folder: Path) -> None:
    task, index = built
    model = tuned_model(lm_folder, modules_to_save=["ln_f"])
    task.loss(model, task.collate([task.train_set[1]])).sum().backward()
    given = {f"c0/{n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert all("/base_model.model." in name for name in given)
    answer = index.attribute(AttributionRequest(gradient=given, k=3))
    own = index.item_scores([task.train_set[1]])[0]
    assert answer.proponents[0].score == pytest.approx(float(own.max()), rel=1e-4)


def test_a_training_text_finds_itself_first(lm_folder: Path, documents: list, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path / "adapter")
    local = LocalModel(folder=lm_folder, adapter=tmp_path / "adapter")
    task = causal_language_model("tuned", local, documents)
    index = byline.build(task, "logra", tmp_path / "index", progress=False)
    for row in range(len(task.train_set)):
        (scores_N,) = index.item_scores([task.train_set[row]])
        assert int(scores_N.argmax()) == row
