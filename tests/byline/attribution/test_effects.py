"""Recipes with the inverse curvature of the training loss predict a change in the target's unit. The others say why not."""

from dataclasses import replace

import numpy as np
import pytest

from byline.attribution.effects import effect_of
from byline.recipes import RECIPES, recipe
from tests.indexer import tiny_task

WITHOUT_UNIT = {
    "grad_dot": "learning rate",
    "grad_cos": "cosines",
    "tracin": "learning rate",
    "rps": "learning rate",
    "trak": "curvature of 'margin'",
    "d_trak": "the curvature of 'square'",
    "ekfac_margin": "curvature of 'margin'",
    "relatif": "length of the point's own effect",
    "trackstar": "cosines",
    "less": "cosines",
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_unit_or_says_why_not(name: str) -> None:
    effect = effect_of(RECIPES[name], 200, "loss", tiny_task.task())
    if name in WITHOUT_UNIT:
        assert effect.factor is None
        assert effect.unit is None
        assert WITHOUT_UNIT[name] in effect.note
        assert "no predicted change" in effect.note
        assert effect.change(np.ones(2)) is None
    else:
        assert (effect.factor, effect.unit) == (-1 / 200, "nats")
        assert "first order" in effect.note
        assert "not measured" in effect.note


def test_a_loss_falls_and_a_target_rises() -> None:
    task = tiny_task.task()
    np.testing.assert_allclose(effect_of(RECIPES["ekfac"], 50, "loss", task).change(np.ones(1)), -0.02)
    logit = effect_of(RECIPES["ekfac"], 50, "logit", task)
    assert (logit.factor, logit.unit) == (0.02, "the unit of 'logit'")


def test_a_loss_of_no_likelihood_has_its_own_unit() -> None:
    assert effect_of(RECIPES["ekfac"], 50, "loss", replace(tiny_task.task(), outputs=None)).unit == (
        "the unit of 'loss'"
    )


def test_solved_queries_give_products_of_gradients_a_unit() -> None:
    assert effect_of(RECIPES["grad_dot"], 50, "loss", tiny_task.task(), solved=True).factor == -0.02
    assert effect_of(RECIPES["relatif"], 50, "loss", tiny_task.task(), solved=True).factor is None


def test_squared_errors_are_no_nats() -> None:
    task = tiny_task.task()
    assert task.outputs is not None
    squared = replace(task, outputs=replace(task.outputs, kind="gaussian"))
    assert effect_of(RECIPES["ekfac"], 50, "loss", squared).unit == "squared error"


def test_the_note_names_the_damping_that_its_size_follows() -> None:
    task, chosen = tiny_task.task(), recipe("ekfac", curvature={"damping": 0.7})
    assert "follows curvature.damping = 0.7" in effect_of(chosen, 50, "loss", task).note
    assert "damping of refine" in effect_of(RECIPES["grad_dot"], 50, "loss", task, solved=True).note
    finite = recipe("ekfac", curvature={"filter": "finite_run"})
    assert "damping" not in effect_of(finite, 50, "loss", task).note
