"""The unit of a score: from a score to the predicted change of a target.

A training run takes the mean loss of n points to its optimum. One more point with the weight of one of them adds loss / n,
and to first order it moves the weights by -(1/n) H^-1 g. The target's loss changes by

    q . (-(1/n) H^-1 g) = -score / n,   score = q^T H^-1 g

where H is the curvature of the mean loss. Recipes whose score is another number predict no change in a unit: `effect_of`
says why.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byline.recipes import Recipe
from byline.task import Task


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The predicted change of a target for each unit of score."""

    factor: float | None
    """Predicted change of the target for a score of one. Negative for a loss, positive for what training raises. None where
    the recipe's scores have no unit."""
    unit: str | None
    """`nats`, `squared error`, or the target's own unit. None without a factor."""
    note: str
    """Meaning of the prediction, or the reason why there is none."""

    def change(self, scores_N: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Predict the target's change.

        Args:
            scores_N: Scores.

        Returns:
            float64 [N], or None where the recipe's scores have no unit.
        """
        return None if self.factor is None else scores_N * self.factor


def effect_of(recipe: Recipe, points: int, target: str, task: Task, *, solved: bool = False) -> Effect:
    """Find the unit of an index's scores.

    Args:
        recipe: The index's.
        points: Number n of training points.
        target: The attributed target.
        task: Says what the loss is made of.
        solved: Whether queries are solved on the curvature of the training loss (`refine`).
    """
    reason = _no_unit(recipe, solved=solved)
    if reason is not None:
        return Effect(factor=None, unit=None, note=f"no predicted change: {reason}")
    return Effect(
        factor=(-1.0 if target == "loss" else 1.0) / points,
        unit=_unit(target, task),
        note=(
            f"predicted to first order, for one more point with the weight of one of {points:,}: not measured"
            f"{_of_damping(recipe, solved=solved)}"
        ),
    )


def _unit(target: str, task: Task) -> str:
    if target != "loss" or task.outputs is None:
        return f"the unit of '{target}'"
    return "nats" if task.outputs.kind == "categorical" else "squared error"


def _of_damping(recipe: Recipe, *, solved: bool) -> str:
    """Name the damping, which stands for the curvature of a weight decay: more of it predicts less."""
    damping = getattr(recipe.curvature, "damping", None)
    if getattr(recipe.curvature, "filter", "damped") == "finite_run" or not (solved or damping):
        return ""
    name = "the damping of refine" if solved else f"curvature.damping = {damping:g}"
    return f". Its size follows {name}, and is off by several times unless that is the training's own weight decay"


def _no_unit(recipe: Recipe, *, solved: bool) -> str | None:
    """Tell why a recipe's score is no q^T H^-1 g. None where it is."""
    name = f"recipe '{recipe.name}'"
    if recipe.unit_norm:
        return f"{name} gives cosines, which have no unit"
    if recipe.row_weight.startswith("relative"):
        return f"{name} divides each score by the length of the point's own effect"
    if solved:
        return None
    if recipe.sides == "none":
        return f"{name} gives products of gradients: the effect of a step for each unit of its learning rate"
    if recipe.train_signal != "loss":
        return f"{name} has the curvature of '{recipe.train_signal}', and training lowers the loss"
    return None
