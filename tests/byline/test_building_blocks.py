"""The code of docs/building-blocks.md runs, and gives what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from byline.errors import InvalidRecipe
from byline.features.fitting import fit
from byline.recipes import recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "building-blocks.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """Everything that the page's blocks define, run in order in one namespace."""
    defined: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"{PAGE.name}[{number}]", "exec"), defined)  # noqa: S102
    return defined


def test_gradients_are_those_of_autograd(names: dict[str, Any]) -> None:
    model, x, y = names["model"], names["x"], names["y"]
    model.requires_grad_()
    grads = torch.autograd.grad(names["loss"](model, (x[:1], y[:1])).sum(), [model[0].weight, model[0].bias])
    model.requires_grad_(requires_grad=False)
    torch.testing.assert_close(names["matrices"][0], torch.cat([grads[0], grads[1][:, None]], dim=1))
    torch.testing.assert_close(names["lengths"], names["matrices"].flatten(1).square().sum(dim=1))


def test_projections_keep_products_roughly(names: dict[str, Any]) -> None:
    exact = names["whole"] @ names["whole"].T
    for name, phi in names["projected"].items():
        assert phi.shape[0] == 40
        if name in {"rademacher", "gaussian", "sjlt"}:
            found = phi @ phi.T
            assert torch.corrcoef(torch.stack([exact.flatten(), found.flatten()]))[0, 1] > 0.8, name


def test_solvers_agree_with_the_dense_matrix(names: dict[str, Any]) -> None:
    width = names["whole"].shape[1]
    dense = names["product"](torch.eye(width, dtype=torch.float64))
    expected = torch.linalg.solve(dense, names["right"].T).T
    torch.testing.assert_close(names["solved"].x_VP, expected, rtol=1e-3, atol=1e-3)


def test_curvatures_agree_on_what_matters(names: dict[str, Any]) -> None:
    assert set(names["fitted_scores"]) == {"if_exact", "logra", "datainf", "kfac", "ekfac"}
    for found in [names["arnoldi_scores"], *names["fitted_scores"].values()]:
        together = torch.stack([names["scores"].flatten().float(), found.flatten()])
        assert torch.corrcoef(together)[0, 1] > 0.6


def test_a_fit_in_memory_takes_no_products(names: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecipe, match=r"byline\.curvature\.solvers"):
        fit(recipe("if_cg"), names["blocks"], [names["train"]])
