"""Queries of recipes whose inverse is solved: passes over a fixed sample of the training set, batch by batch.

Memory holds one batch, the vectors of the solver and, of small samples, the items. It does not grow with the training
set. Shapes: V vectors at once, P numbers of all parameters together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from byline.curvature.iterative import DAMPING, NUMBERS, IterativeCurvature
from byline.curvature.kronecker import kept_blocks
from byline.curvature.kronecker_inverse import block_spectra, nearby_inverse
from byline.curvature.products import Matrix
from byline.curvature.solvers import Product
from byline.features.sampling import cut_batches, fit_sample
from byline.models.member import MemberModel
from byline.models.training_points import read_items
from byline.progress import count_items
from byline.task import Item
from byline.types import Rows, State

KEPT_ITEMS = 4096
"""Items of samples up to this size are read once."""


class ItemProducts:
    """One batch's products: what statistics of a build measure.

    Args:
        model: The member.
        items: The batch.
    """

    def __init__(self, model: MemberModel, items: Sequence[Item]) -> None:
        self._model, self._items = model, items

    def __len__(self) -> int:
        return len(self._items)

    def __call__(self, vectors_VP: Tensor, matrix: Matrix) -> Tensor:
        """H v of every row, H that of the batch's summed loss: float64."""
        return self._model.products(self._items, vectors_VP, matrix)


class TrainingProducts:
    """Mean curvature matrices of one member over a sample of the training set.

    Args:
        model: The member.
        sample: Rows. None takes all.
        batch: Rows that are differentiated together.
    """

    def __init__(self, model: MemberModel, sample: int | None, batch: int) -> None:
        self._model = model
        self._rows = fit_sample(len(model.train_set), sample)
        self._batches = cut_batches(self._rows, batch)
        self._kept: dict[int, list[Item]] = {}

    @property
    def rows(self) -> int:
        """Number of training points of the sample."""
        return len(self._rows)

    @property
    def batches(self) -> int:
        """Number of batches of the sample."""
        return len(self._batches)

    def mean(self, vectors_VP: Tensor, matrix: Matrix) -> Tensor:
        """Compute H v of every row, H the mean over the sample: float64."""
        total_VP = torch.zeros_like(vectors_VP)
        for number in count_items(None, range(self.batches)):
            total_VP += self._sum(vectors_VP, number, matrix)
        return total_VP / len(self._rows)

    def of_batch(self, vectors_VP: Tensor, batch: int, matrix: Matrix) -> Tensor:
        """Compute H v of every row, H the mean over one batch: float64."""
        return self._sum(vectors_VP, batch, matrix) / len(self._batches[batch])

    def _sum(self, vectors_VP: Tensor, number: int, matrix: Matrix) -> Tensor:
        return self._model.products(self._items(number), vectors_VP, matrix).to(vectors_VP)

    def _items(self, number: int) -> list[Item]:
        if number in self._kept:
            return self._kept[number]
        items = self._read(self._batches[number])
        if len(self._rows) <= KEPT_ITEMS:
            self._kept[number] = items
        return items

    def _read(self, rows: Rows) -> list[Item]:
        return read_items(self._model.train_set, rows)


class QuerySolver:
    """Solves queries' gradients with one member's curvature.

    Args:
        model: The member.
        curvature: Says how.
        state: Fitted state: the damping.
    """

    def __init__(self, model: MemberModel, curvature: IterativeCurvature, state: State) -> None:
        self._curvature, self._state = curvature, state
        self._products = TrainingProducts(model, curvature.sample, curvature.batch)
        self._inverse = _preconditioner(model, curvature, state)

    def solve(self, gradients_VP: Tensor) -> Tensor:
        """H^-1 q of every row, in the rows' precision.

        Raises:
            InvalidRecipe: The damped matrix is not positive definite.
        """
        step = max(1, NUMBERS // max(1, gradients_VP.shape[1]))
        cut = torch.split(gradients_VP, step)
        parts = [
            self._curvature.solve(self._products, part, self._state, self._inverse)
            for part in count_items(None, cut)
        ]
        return torch.cat(parts).to(gradients_VP)


def _preconditioner(model: MemberModel, curvature: IterativeCurvature, state: State) -> Product | None:
    """Make the solver's preconditioner where a Kronecker fit was made beside the damping.

    Steps from zero begin along the fit's own solution, so it is no start as well.
    """
    spectra = block_spectra(model.blocks, state) if kept_blocks(state) else []
    damping = float(state[DAMPING])
    if not spectra:
        return None
    return nearby_inverse(spectra, damping / curvature.damping, [damping] * len(spectra))
