"""A curvature's fit over batches in memory: what the indexer's stages do with files."""

from collections.abc import Sequence

from byline.curvature.base import Statistic
from byline.features import MemberFeaturizer, Side, statistics
from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients
from byline.projection.base import State
from byline.recipe import Recipe


def fit(chosen: Recipe, blocks: Sequence[Block], batches: Sequence[BatchGradients]) -> State:
    """Every statistic over all batches, one after the other."""
    state: State = {}
    count = sum(len(batch) for batch in batches)
    for statistic in statistics(chosen, blocks):
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
