"""Per-example gradients by hooks, as sums of outer products."""

from byline.gradients.blocks import Block
from byline.gradients.checks import build_collector
from byline.gradients.collector import GradientCollector
from byline.gradients.factors import BatchGradients
from byline.gradients.masks.mask import DropoutMask
from byline.gradients.masks.plan import MaskPlan, plan_masks
from byline.gradients.tensors import dense_gradients, flat_gradients, flat_vectors, parameter_tensors

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
