"""Refuse methods that hold whole vectors of all attributed numbers, where these do not fit in a worker's memory."""

from byline.curvature.arnoldi import Arnoldi
from byline.curvature.iterative import IterativeCurvature
from byline.errors import InvalidRecipe
from byline.models.member import MemberModel
from byline.recipes import Recipe
from byline_indexer.build.batch_memory import LIBRARIES, model_bytes

PRODUCT = 48
"""Bytes a number while the curvature multiplies a vector: both of them in double precision, and their tensors."""
SOLVER = 48
"""Bytes a number of a query's solver: six vectors in double precision."""

DIRECTION = 12
"""Bytes a number of each of Lanczos' directions: in memory, in the file that is read, and while they are mixed."""


def refuse_wide_vectors(model: MemberModel, recipe: Recipe, memory: int) -> None:
    """Refuse a curvature of products with vectors that take more than a worker has.

    Args:
        model: The first member's.
        recipe: The method.
        memory: Bytes that one worker may take.

    Raises:
        InvalidRecipe: The vectors do not fit.
    """
    each = _bytes_a_number(recipe)
    numbers = sum(block.rows * block.columns for block in model.blocks)
    needed = LIBRARIES + model_bytes(model) + each * numbers
    if each and needed > memory:
        raise InvalidRecipe(
            f"expected whole vectors of curvature '{recipe.curvature.kind}' to fit in build.memory = {memory / 1e9:g} GB, "
            f"got {numbers:,} attributed numbers, which take {needed / 1e9:.1f} GB: attribute fewer layers (Task.layers), "
            f"raise build.memory, or take recipe 'ekfac'"
        )


def _bytes_a_number(recipe: Recipe) -> int:
    """Count the bytes of vectors for each attributed number. 0 where none is held whole."""
    curvature = recipe.curvature
    if isinstance(curvature, IterativeCurvature):
        return PRODUCT + SOLVER
    if isinstance(curvature, Arnoldi):
        return PRODUCT + DIRECTION * curvature.steps
    return 0
