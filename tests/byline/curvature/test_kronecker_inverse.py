"""The inverse of a Kronecker fit on whole gradients: equal to the matrix that it stands for, written out."""

from typing import Any

import pytest
import torch
from torch import Tensor

from byline.curvature.kronecker_inverse import (
    BlockSpectrum,
    block_spectra,
    kronecker_inverse,
    mean_eigenvalue,
)
from byline.features.fitting import fit
from byline.gradients.outer_products.blocks import Block
from byline.members import Member
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.types import State
from tests.indexer import tiny_task


def fitted(**changes: Any) -> tuple[tuple[Block, ...], State, Tensor]:
    """Blocks, the state of a fit, and whole gradients."""
    task, chosen = tiny_task.task(), recipe("ekfac", **changes)
    model = MemberModel.load(task, chosen, Member(0))
    gradients = model.gradients([task.train_set[row] for row in range(90)])
    return model.blocks, fit(chosen, model.blocks, [gradients]), gradients.dense().double()


def written_out(spectrum: BlockSpectrum, scale: float, damping: float) -> Tensor:
    """Q (scale L + damping)^-1 Q^T + (I - Q Q^T) / (scale l + damping), from columns of the bases."""
    kept, width = spectrum.kept, spectrum.numbers
    left_OR = torch.eye(spectrum.block.rows).double()
    right_IC = torch.eye(spectrum.block.columns).double()
    left_OR = left_OR[:, kept.left.columns_K] if hasattr(kept.left, "columns_K") else kept.left.matrix_DK
    right_IC = right_IC[:, kept.right.columns_K] if hasattr(kept.right, "columns_K") else kept.right.matrix_DK
    columns = [
        torch.outer(left_OR[:, r].double(), right_IC[:, c].double()).flatten()
        for r, c in zip(kept.rows_K.tolist(), kept.columns_K.tolist(), strict=True)
    ]
    matrix = torch.eye(width).double() / (scale * spectrum.elsewhere + damping)
    for column, value in zip(columns, spectrum.eigenvalues_K, strict=True):
        along = 1 / (scale * value + damping) - 1 / (scale * spectrum.elsewhere + damping)
        matrix += along * torch.outer(column, column)
    return matrix


@pytest.mark.parametrize(
    "changes",
    [
        {"projection": {"size": 83}},
        {"projection": {"size": 20}},
        {"projection": {"size": 1}},
        {"projection": {"size": 20, "rank": 3}},
        {"projection": {"size": 30}, "curvature": {"dense_up_to": 4}},
        {"projection": {"size": 30}, "curvature": {"kind": "kfac"}},
    ],
    ids=["all", "some", "one block without", "rank", "coordinates", "kfac"],
)
def test_equal_to_the_matrix_written_out(changes: Any) -> None:
    blocks, state, vectors_VP = fitted(**changes)
    spectra = block_spectra(blocks, state)
    scale, damping = 3.0, 0.02
    found_VP = kronecker_inverse(spectra, vectors_VP, [each.damped(scale, damping) for each in spectra])
    dense = torch.block_diag(*(written_out(each, scale, damping) for each in spectra))
    torch.testing.assert_close(found_VP, vectors_VP @ dense, rtol=1e-5, atol=1e-6)
    assert torch.linalg.eigvalsh(dense).min() > 0
    torch.testing.assert_close(found_VP @ vectors_VP.T, vectors_VP @ found_VP.T)


def test_the_trace_is_that_of_the_gradients() -> None:
    blocks, state, vectors_NP = fitted(projection={"size": 20})
    spectra = block_spectra(blocks, state)
    assert mean_eigenvalue(spectra) == pytest.approx(float(vectors_NP.square().mean()), rel=1e-5)
    for each in spectra:
        others = each.numbers - len(each.kept)
        assert float(each.eigenvalues_K.sum()) + others * each.elsewhere == pytest.approx(
            each.numbers * each.mean
        )


def test_eigenvalues_of_another_sample_never_make_the_rest_negative() -> None:
    blocks, state, _ = fitted(projection={"size": 20})
    larger = {name: value * 50 if name.endswith("eigenvalues") else value for name, value in state.items()}
    assert all(each.elsewhere >= 0 for each in block_spectra(blocks, larger))
