"""The explicit Hessian: eigenvalues keep their signs, and singular matrices are refused."""

import pytest
import torch

from byline.curvature.explicit import Explicit, HessianStatistic
from byline.errors import InvalidRecipe


@pytest.mark.parametrize("damping", [1.0, 5.0])
def test_a_hessian_that_damping_leaves_singular_is_refused(damping: float) -> None:
    statistic = HessianStatistic(Explicit(matrix="hessian", damping=damping), 3)
    # Mean eigenvalue 1: the damped ones are (4, -1, 0) + damping.
    sums = {"hessian": torch.diag(torch.tensor([4.0, -1.0, 0.0], dtype=torch.float64))}
    if damping == 1.0:
        with pytest.raises(InvalidRecipe, match=r"curvature\.damping"):
            statistic.finish(sums, 1, {})
    else:
        assert sorted(statistic.finish(sums, 1, {})["explicit.values"].tolist()) == [4.0, 5.0, 9.0]


def test_a_hessian_keeps_the_signs_of_its_eigenvalues() -> None:
    statistic = HessianStatistic(Explicit(matrix="hessian", damping=0.5), 3)
    matrix = torch.diag(torch.tensor([6.0, -4.0, 1.0], dtype=torch.float64))
    state = statistic.finish({"hessian": 2 * matrix}, 2, {})
    inverse = Explicit(matrix="hessian").preconditioner(state)
    phi = torch.eye(3, dtype=torch.float64)
    scores = inverse(phi, 0.0) @ inverse(phi, -1.0).T
    torch.testing.assert_close(scores, torch.diag(1 / (matrix.diagonal() + 0.5)), rtol=1e-6, atol=1e-9)
