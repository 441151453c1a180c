"""Labels that curvature is fitted with: draws follow the model's distribution, sums are the Gauss-Newton matrix."""

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jacrev
from torch.nn import functional as F

from byline.curvature.labels import every_label, gaussian_weights, sampled_labels
from byline.errors import InvalidRecipe, InvalidTask
from byline.members import Member
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Outputs
from tests.indexer import tiny_task

CATEGORICAL = Outputs(
    compute=lambda model, batch: model(batch[0]),
    loss=lambda z, batch: F.cross_entropy(z, batch[1], reduction="none"),
    relabel=lambda batch, labels: [batch[0], labels],
)
GAUSSIAN = Outputs(
    compute=lambda model, batch: model(batch[0])[:, 0],
    loss=lambda z, batch: F.mse_loss(z, batch[1], reduction="none"),
    relabel=lambda batch, labels: [batch[0], labels],
    kind="gaussian",
)


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(20_000, 3)
    drawn = sampled_labels(CATEGORICAL, logits, None, torch.arange(20_000)).labels
    shares = torch.bincount(drawn, minlength=3) / 20_000
    torch.testing.assert_close(shares, logits[0].softmax(0), atol=0.012, rtol=0)


def test_draws_depend_on_the_row_and_nothing_else() -> None:
    logits = torch.randn(9, 5, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(100, 109)
    whole = sampled_labels(CATEGORICAL, logits, None, rows).labels
    assert whole.shape == (9, 5)
    alone = sampled_labels(CATEGORICAL, logits[4:5, :3], None, rows[4:5]).labels
    assert torch.equal(alone, whole[4:5, :3]), "neither the batch nor the padding changes a draw"
    assert not torch.equal(sampled_labels(CATEGORICAL, logits, None, rows + 9).labels, whole)


def test_gaussian_draws_have_the_variance_of_the_loss() -> None:
    z = torch.zeros(20_000)
    drawn = sampled_labels(GAUSSIAN, z, [None, z], torch.arange(20_000)).labels
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.var()) - 0.5) < 0.02, "squared error is the likelihood of a variance of one half"
    torch.testing.assert_close(gaussian_weights(GAUSSIAN, z, [None, z]), torch.full_like(z, 2**0.5))


def test_sequences_have_too_many_labellings_to_list() -> None:
    with pytest.raises(InvalidTask, match="labels = 'sampled'"):
        list(every_label(torch.zeros(2, 3, 4)))


def test_classes_sum_to_the_gauss_newton_matrix() -> None:
    """Against J^T H J by torch.func."""
    task = tiny_task.task()
    member = MemberModel.load(task, recipe("if_exact"), Member(0))
    items = [task.train_set[row] for row in range(5)]
    rows = torch.arange(5)
    found = torch.zeros(())
    for gradients in member.label_gradients(items, rows, "exact"):
        dense_NP = gradients.dense().double()
        found = found + dense_NP.T @ dense_NP
    expected = sum(_gauss_newton(member, x[None]) for x, _ in items)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def _gauss_newton(member: MemberModel, inputs: Tensor) -> Tensor:
    model = member.model
    parameters = {n: p.detach() for n, p in model.named_parameters()}
    jacobian = jacrev(lambda own: functional_call(model, own, (inputs,))[0])(parameters)
    parts = []
    for block in member.blocks:
        rows_NOI = block.matrix({n: jacobian[n] for n in block.parameters})
        parts.append(rows_NOI.flatten(1))
    jacobian_CP = torch.cat(parts, dim=1).double()
    logits = model(inputs)[0].detach()
    curvature = jacrev(jacrev(lambda z: F.cross_entropy(z, torch.tensor(0))))(logits).double()
    return jacobian_CP.T @ curvature @ jacobian_CP


def test_draws_average_to_the_gauss_newton_matrix() -> None:
    task = tiny_task.task()
    member = MemberModel.load(task, recipe("if_exact"), Member(0))
    items = [task.train_set[3]] * 4000
    (drawn,) = member.label_gradients(items, torch.arange(4000), "sampled")
    dense_NP = drawn.dense().double()
    expected = _gauss_newton(member, task.train_set[3][0][None])
    assert (dense_NP.T @ dense_NP / 4000 - expected).norm() < 0.06 * expected.norm()


def test_a_task_without_outputs_says_what_is_missing() -> None:
    from dataclasses import replace

    task = replace(tiny_task.task(), outputs=None)
    member = MemberModel.load(task, recipe("logra"), Member(0))
    with pytest.raises(InvalidTask, match=r"Task\.outputs"):
        next(member.label_gradients([task.train_set[0]], torch.arange(1), "sampled"))


def test_other_labels_need_the_loss() -> None:
    with pytest.raises(InvalidRecipe, match="train_signal 'loss'"):
        recipe("trak", curvature={"labels": "sampled"})


def test_matrices_that_are_too_large_say_where_to_go() -> None:
    from byline.curvature.linalg import refuse_too_wide

    with pytest.raises(InvalidRecipe, match="if_cg"):
        refuse_too_wide(20_001)
