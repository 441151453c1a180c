"""Scores of images taken apart by patch: by the places of the layers' outputs.

An image has one loss, so there are no losses to add up. But a layer's gradient is a sum over the places of its output,
sum_t l[t] r[t]^T. With a direction M in the layer's parameters (`byline.features.position_scores`), its part of the score is

    sum_t l[t]^T M r[t]

Place t lies over a part of the image: r[t] is what the layer read there, l[t] what its output there did to the loss. Parts
of layers without places, such as a head behind a pooling, are the rest. Patches and rest add up to the score.

Shapes: V rows, R x C patches, T places, P numbers of all parameters together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from byline.features.featurizer import MemberFeaturizer, Side
from byline.features.position_scores import directions_of, feature_length
from byline.features.queries import Featurizer
from byline.gradients.outer_products.factors import BatchGradients, DenseFactor
from byline.gradients.outer_products.tensors import block_matrices
from byline.models.member import MemberModel
from byline.progress import count_steps
from byline.task import Item, Patches

LEADING = 2
"""Places before those of the image, at most: a transformer's class token, and a distillation token."""


def query_patches(
    featurizer: Featurizer, item: Item, target: str, rows_VK: Tensor, patches: Patches
) -> Tensor:
    """Take a query's scores with some rows apart by the patches of the query's image.

    Args:
        featurizer: Makes the index's features.
        item: The complete query.
        target: `"loss"` or one of the Task's targets.
        rows_VK: Rows as they are stored, row weight included and not scaled.
        patches: The grid.

    Returns:
        float64 [V, R * C + 1], the rest behind the patches. Each row adds up to its score.
    """
    masked = featurizer.recipe.members.queries != "whole"
    weights_V = [featurizer.by_member(row_K) for row_K in rows_VK]
    total = torch.zeros((), dtype=torch.float64)
    with count_steps("tokens", len(featurizer.parts)) as advance:
        for m, (model, own) in enumerate(featurizer.parts):
            gradients = model.gradients([item], target) if masked else model.whole_gradients([item], target)
            length = feature_length(model, own, Side.QUERY, item, target, masked=masked)
            own_V = [weights[m] for weights in weights_V]
            found = _by_place((model, own), gradients, Side.QUERY, own_V, patches)
            total = total + torch.stack(found) / length
            advance(1)
    return total


def training_patches(
    featurizer: Featurizer,
    items: Sequence[Item],
    query_K: Tensor,
    patches: Patches,
    weights_N: Sequence[float] | None = None,
) -> list[Tensor]:
    """Take training images' scores with a query apart by their patches.

    Args:
        featurizer: Makes the index's features.
        items: N training points.
        query_K: The query's feature.
        patches: The grid.
        weights_N: The rows' weights. None for ones.

    Returns:
        float64 [R * C + 1] for each point, the rest behind the patches.
    """
    signal, own_M = featurizer.recipe.train_signal, featurizer.by_member(query_K)
    totals = [torch.zeros((), dtype=torch.float64) for _ in items]
    with count_steps("tokens", len(featurizer.parts) * len(items)) as advance:
        for (model, own), weights_K in zip(featurizer.parts, own_M, strict=True):
            for place, item in enumerate(items):
                gradients = model.gradients([item], signal)
                (found,) = _by_place((model, own), gradients, Side.TRAIN, [weights_K], patches)
                length = feature_length(model, own, Side.TRAIN, item, signal, masked=True)
                totals[place] = totals[place] + found / length
                advance(1)
    weights = weights_N or [1.0] * len(items)
    return [total * weight for total, weight in zip(totals, weights, strict=True)]


def _by_place(
    member: tuple[MemberModel, MemberFeaturizer],
    gradients: BatchGradients,
    side: Side,
    weights: Sequence[Tensor],
    patches: Patches,
) -> list[Tensor]:
    """Parts [R * C + 1] of one example's products with every member's own weights."""
    model, own = member
    found = []
    for direction_1P in directions_of(own, side, weights, model):
        total = torch.zeros(patches.rows * patches.columns + 1, dtype=torch.float64)
        for name, matrix_1OI in block_matrices(model.blocks, direction_1P).items():
            gradient = gradients.blocks[name]
            for use, parts_1T in zip(gradient.uses, gradient.against(matrix_1OI[0]), strict=True):
                placed = isinstance(use.left, DenseFactor) and isinstance(use.right, DenseFactor)
                total += on_grid(parts_1T[0].double().cpu(), patches, placed=placed)
        found.append(total)
    return found


def on_grid(parts_T: Tensor, patches: Patches, *, placed: bool = True) -> Tensor:
    """Spread the parts of places over the patches that they lie over.

    Args:
        parts_T: In the image's order, row by row, perhaps behind a leading token.
        patches: The grid.
        placed: Whether they are places at all.

    Returns:
        [R * C + 1]: the patches row by row, then what lies nowhere. The sum stays.
    """
    count, cells = len(parts_T), patches.rows * patches.columns
    # Strides round up: without a leading token, one place more or less than the image's proportion will do.
    tried = [*((leading, 0.0) for leading in range(LEADING + 1)), (0, 1.0)]
    for leading, tolerance in tried:
        shape = _shape(count - leading, patches, tolerance)
        if placed and shape is not None:
            grid_hw = parts_T[leading:].reshape(shape)
            spread = _overlaps(patches.rows, shape[0]) @ grid_hw @ _overlaps(patches.columns, shape[1]).T
            return torch.cat([spread.flatten(), parts_T[:leading].sum()[None]])
    return torch.cat([parts_T.new_zeros(cells), parts_T.sum()[None]])


def _shape(count: int, patches: Patches, tolerance: float) -> tuple[int, int] | None:
    """Rows and columns of places in the image's proportion. None where there are no such, or one alone."""
    if count < 2:
        return None
    rows = round((count * patches.height / patches.width) ** 0.5)
    if rows < 1 or count % rows:
        return None
    columns = count // rows
    distance = abs(columns - rows * patches.width / patches.height)
    return (rows, columns) if distance <= tolerance else None


def _overlaps(cells: int, places: int) -> Tensor:
    """[cells, places]: the fraction of each place that lies in each cell of the same side. Columns add up to one."""
    first = torch.arange(cells, dtype=torch.float64)[:, None] / cells
    start = torch.arange(places, dtype=torch.float64)[None] / places
    shared = torch.minimum(first + 1 / cells, start + 1 / places) - torch.maximum(first, start)
    overlap = shared.clamp_min(0) * places
    return overlap / overlap.sum(dim=0, keepdim=True)
