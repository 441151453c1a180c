"""Random small models with random batches: what the collector does with them is compared with autograd.

Everything about a model comes from its seed: its parts and their order, residual paths, parts that are used twice,
tied and frozen parameters, the layout of its state, the lengths of its items, and the loss.
"""

from tests.byline.gradients.random_models.model import plan, random_subject

__all__ = ["plan", "random_subject"]
