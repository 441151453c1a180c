"""A recipe's fit over batches in memory, for use without a build: what the indexer's units do with files."""

from collections.abc import Sequence

from byline.curvature.base import Statistic
from byline.errors import InvalidRecipe
from byline.features.featurizer import MemberFeaturizer, Side, statistics
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.recipes import Recipe
from byline.types import State


def fit(
    chosen: Recipe,
    blocks: Sequence[Block],
    batches: Sequence[BatchGradients],
    run_time: float | None = None,
) -> State:
    """Run every statistic of a recipe over all batches, one after the other.

    Gradients are taken as they come: whose labels they are at (`curvature.labels`) is the caller's to see to.

    Args:
        chosen: The recipe: its scale, projection and curvature are fitted.
        blocks: Parameter blocks of the gradients.
        batches: Gradients of all training points.
        run_time: Learning rate x steps of the run, where the curvature's filter is of them.

    Returns:
        The fitted state, which `MemberFeaturizer` takes.

    Raises:
        InvalidRecipe: The curvature is fitted by products, not by gradients, or needs a run's time.
    """
    if chosen.uses_run_time and run_time is None:
        raise InvalidRecipe(
            "expected run_time (learning rate x steps) for curvature.filter = 'finite_run', got none"
        )
    state: State = {}
    count = sum(len(batch) for batch in batches)
    for statistic in statistics(chosen, blocks, run_time=run_time):
        if statistic.source == "products":
            raise InvalidRecipe(
                f"expected a curvature that is fitted by gradients, got '{chosen.curvature.kind}': use "
                f"byline.curvature.solvers with byline.curvature.products, or build an index"
            )
        state |= statistic.finish(_summed(statistic, chosen, blocks, batches, state), count, state)
    return state


def _summed(
    statistic: Statistic,
    chosen: Recipe,
    blocks: Sequence[Block],
    batches: Sequence[BatchGradients],
    state: State,
) -> State:
    sums: State = {}
    for batch in batches:
        projects = statistic.source == "projected"
        measured = MemberFeaturizer(chosen, blocks, state).project(batch, Side.TRAIN) if projects else batch
        for name, part in statistic.measure(measured, state).items():
            sums[name] = sums[name] + part if name in sums else part
    return sums
