"""Per-example gradients as sums of outer products.

`build_collector` (in `checks`) makes a `collector` for a model and compares it with autograd. A collector records a pass
(`capture`) and turns it into gradients (`passes`), of the parameters of `selection`. The gradients are sums of
`outer_products`. `batch_axes` learns which axes of a model run over the examples, and `masks` has seeded dropout masks.
"""

from byline.gradients.checks import build_collector
from byline.gradients.collector import GradientCollector
from byline.gradients.masks.mask import DropoutMask
from byline.gradients.masks.plan import MaskPlan, plan_masks
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.tensors import (
    dense_gradients,
    flat_gradients,
    flat_vectors,
    parameter_tensors,
)

__all__ = [
    "BatchGradients",
    "Block",
    "DropoutMask",
    "GradientCollector",
    "MaskPlan",
    "build_collector",
    "dense_gradients",
    "flat_gradients",
    "flat_vectors",
    "parameter_tensors",
    "plan_masks",
]
