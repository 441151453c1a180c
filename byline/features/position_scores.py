"""Scores taken apart by position: the tokens of the query, and the tokens of a training point.

A score is bilinear in two gradients, s = <phi(g), psi(h)>, and each gradient is a sum over the positions' losses,
g = sum_t a[t] dL[t]/dw. With the other side held fixed the map back is a direction in the parameters:

    s = v . g,  v = phi^T psi(h),     so position t owes  a[t] (v . dL[t]/dw)

for all t at once. Query tokens are taken apart against the stored row, row by row. Training tokens are taken apart against
the query's feature. Both sums are the score. Members' parts are added up.

Projections, curvatures, a PCA, members' shares and row weights are linear. A unit norm divides by the length of the whole
and is a number then. Solved queries, recorded runs and an optimizer's step are not linear, and are refused.

Shapes: V rows, T positions, K numbers of a feature, P numbers of all parameters together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from byline.errors import InvalidQuery
from byline.features.featurizer import MemberFeaturizer, Side
from byline.features.queries import Featurizer
from byline.models.member import MemberModel
from byline.progress import count_steps
from byline.recipes import Recipe
from byline.task import Item


def refuse_inseparable(recipe: Recipe) -> None:
    """Require that both sides of a score are sums over positions.

    Raises:
        InvalidQuery: One is not.
    """
    reason = None
    if recipe.sides == "solved":
        reason = "solves each query as a whole"
    elif recipe.recorded:
        reason = "takes training points from a recorded run"
    elif not recipe.scale.linear:
        reason = "stores an optimizer's step, which is no sum over tokens"
    if reason is not None:
        raise InvalidQuery(
            f"tokens takes scores apart that are linear in both gradients, and recipe '{recipe.name}' {reason}: leave "
            f"tokens out, or build with another recipe"
        )


def query_positions(featurizer: Featurizer, item: Item, target: str, rows_VK: Tensor) -> Tensor:
    """Take a query's scores with some rows apart by the query's positions.

    Args:
        featurizer: Makes the index's features.
        item: The complete query.
        target: `"loss"` or one of the Task's targets.
        rows_VK: Rows as they are stored, row weight included and not scaled.

    Returns:
        float64 [V, T]. Each row adds up to its score.
    """
    masked = featurizer.recipe.members.queries != "whole"
    weights_V = [featurizer.by_member(row_K) for row_K in rows_VK]
    total_VT = torch.zeros((), dtype=torch.float64)
    with count_steps("tokens", len(featurizer.parts) * len(rows_VK)) as advance:
        for m, (model, own) in enumerate(featurizer.parts):
            own_V = [weights[m] for weights in weights_V]
            directions = _counted(directions_of(own, Side.QUERY, own_V, model), advance)
            slopes_VT = torch.stack(model.position_slopes(item, target, directions, masked=masked))
            total_VT = total_VT + slopes_VT / feature_length(
                model, own, Side.QUERY, item, target, masked=masked
            )
    return total_VT


def training_positions(
    featurizer: Featurizer, items: Sequence[Item], query_K: Tensor, weights_N: Sequence[float] | None = None
) -> list[Tensor]:
    """Take training points' scores with a query apart by the training points' positions.

    Args:
        featurizer: Makes the index's features.
        items: N training points.
        query_K: The query's feature.
        weights_N: The rows' weights. None for ones.

    Returns:
        float64 [T] for each point. The sum is the score, to the rounding of the stored row.
    """
    signal, own_M = featurizer.recipe.train_signal, featurizer.by_member(query_K)
    totals = [torch.zeros((), dtype=torch.float64) for _ in items]
    with count_steps("tokens", len(featurizer.parts) * len(items)) as advance:
        for (model, own), weights_K in zip(featurizer.parts, own_M, strict=True):
            (direction_1P,) = directions_of(own, Side.TRAIN, [weights_K], model)
            for place, item in enumerate(items):
                (slope_T,) = model.position_slopes(item, signal, [direction_1P])
                length = feature_length(model, own, Side.TRAIN, item, signal, masked=True)
                totals[place] = totals[place] + slope_T / length
                advance(1)
    weights = weights_N or [1.0] * len(items)
    return [total_T * weight for total_T, weight in zip(totals, weights, strict=True)]


def _counted(directions: Iterable[Tensor], advance: Callable[[int], None]) -> Iterator[Tensor]:
    """Count directions as they are asked for.

    Yields:
        The directions.
    """
    for direction_1P in directions:
        yield direction_1P
        advance(1)


def directions_of(
    own: MemberFeaturizer, side: Side, weights: Sequence[Tensor], model: MemberModel
) -> Iterator[Tensor]:
    """Find the directions in the parameters that one member's weights come from, one at a time.

    Args:
        own: Makes the member's features.
        side: The features'.
        weights: Weights of the member's feature, one a direction.
        model: The member.

    Yields:
        [1, P].
    """
    parameter = next(model.model.parameters())
    dtype = parameter.dtype if parameter.dtype == torch.float64 else torch.float32
    for weights_K in weights:
        yield own.pulled_back(weights_K.to(parameter.device, dtype), side)


def feature_length(
    model: MemberModel, own: MemberFeaturizer, side: Side, item: Item, target: str, *, masked: bool
) -> float:
    """Measure the whole feature of an item, which a unit norm divides by. 1 for a recipe without one.

    Args:
        model: The member.
        own: Makes the member's features.
        side: The feature's.
        item: The item.
        target: The differentiated target.
        masked: Whether the member's mask is on.
    """
    if not own.unit_norm:
        return 1.0
    gradients = model.gradients([item], target) if masked else model.whole_gradients([item], target)
    return float(own.length(own.project(gradients, side), side)[0]) or 1.0
