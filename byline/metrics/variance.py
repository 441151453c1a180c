"""Variance components of a score, and the numbers of checkpoints and masks that are worth their cost.

Over the training points of one query, the score of checkpoint c under mask d is taken as

    tau_cd(i) = mu(i) + a_c(i) + e_cd(i)

with independent parts: what all checkpoints agree on, what one checkpoint adds and what one mask adds. In covariances
over the training points: s2 = Var tau, rho_within = Cov(tau_cd, tau_cd') = Var mu + Var a, rho_between =
Cov(tau_cd, tau_c'd') = Var mu. The mean over I checkpoints x D masks has (Deng et al. 2024)

    Var = s2/(I D) + (D - 1)/(I D) rho_within + (I - 1)/I rho_between

of which rho_between is shared by any other ensemble of the same kind and the rest is noise. Estimated by the moments of
a nested analysis of variance.

Shapes: I checkpoints, D masks (or adapters) of each, Q queries, R training points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Components:
    """Parts of one score's variance, as shares of it: with everything known, s2 is 1."""

    s2: float
    """Variance of one member's scores over the training points."""
    rho_within: float | None
    """Covariance of two masks of one checkpoint. None where the pilot had no two."""
    rho_between: float | None
    """Covariance of two checkpoints. None where the pilot had a single checkpoint, which cannot tell."""

    def variance(self, checkpoints: int, masks: int) -> float:
        """Predict the variance of the mean over an ensemble. Unknown parts count as if they added nothing new.

        With one checkpoint in the pilot, checkpoints are taken to agree as its masks do.
        """
        members = checkpoints * masks
        within = self.rho_within if self.rho_within is not None else self.s2
        between = self.rho_between if self.rho_between is not None else within
        return self.s2 / members + (masks - 1) / members * within + (checkpoints - 1) / checkpoints * between

    def reliability(self, checkpoints: int, masks: int) -> float:
        """Compute the expected correlation of an ensemble's scores with those of endlessly many such members.

        Endlessly many masks of one checkpoint where `rho_between` is unknown.
        """
        shared = self.rho_between if self.rho_between is not None else self.rho_within
        if shared is None:
            return float("nan")
        variance = self.variance(checkpoints, masks)
        return float(np.sqrt(min(1.0, max(0.0, shared) / variance))) if variance > 0 else 0.0


def variance_components(scores_IDQR: NDArray[np.float64]) -> Components:
    """Estimate the components from a pilot, query by query, every query counting the same.

    Args:
        scores_IDQR: Scores of I checkpoints x D masks, for Q queries and R training points.

    Returns:
        The mean over the queries of each query's components as shares of its own variance.
    """
    checkpoints, masks, _, rows = scores_IDQR.shape
    centred = scores_IDQR - scores_IDQR.mean(axis=3, keepdims=True)  # a shift of all points ranks nothing
    freedom = rows - 1
    of_checkpoint_IQR = centred.mean(axis=1)
    of_all_QR = of_checkpoint_IQR.mean(axis=0)
    mask_Q = _share(
        ((centred - of_checkpoint_IQR[:, None]) ** 2).sum(axis=(0, 1, 3)), checkpoints * (masks - 1) * freedom
    )
    spread_Q = _share(((of_checkpoint_IQR - of_all_QR) ** 2).sum(axis=(0, 2)), (checkpoints - 1) * freedom)
    checkpoint_Q = np.maximum(spread_Q - mask_Q / masks, 0)
    mean_Q = (of_all_QR**2).sum(axis=1) / freedom
    shared_Q = np.maximum(mean_Q - checkpoint_Q / checkpoints - mask_Q / (checkpoints * masks), 0)
    total_Q = shared_Q + checkpoint_Q + mask_Q
    known = total_Q > 0
    if not known.any():
        return Components(s2=0.0, rho_within=None, rho_between=None)
    shared, checkpoint, _ = (
        float((part[known] / total_Q[known]).mean()) for part in (shared_Q, checkpoint_Q, mask_Q)
    )
    return Components(
        s2=1.0,
        rho_within=shared + checkpoint if masks > 1 else None,
        rho_between=shared if checkpoints > 1 else None,
    )


def _share(sums_Q: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """A mean square. Zero where nothing was free to vary."""
    return sums_Q / freedom if freedom else np.zeros_like(sums_Q)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One size of an ensemble."""

    checkpoints: int
    masks: int
    """Masks of each checkpoint. 1 stands for one member a checkpoint, with a mask or without."""
    variance: float
    """Variance of the mean score, in units of one member's."""
    reliability: float
    """Expected correlation with endlessly many members."""
    cost: float
    """Gradient passes of a query, and the price of the trainings."""

    @property
    def passes(self) -> int:
        """Gradient passes of a query."""
        return self.checkpoints * self.masks


def choices(
    components: Components, counts: Sequence[int], budget: int, train_cost: float = 0.0
) -> list[Choice]:
    """List the sizes that fit a serving budget.

    Args:
        components: From a pilot.
        counts: Numbers of checkpoints to consider.
        budget: Gradient passes that a query may take.
        train_cost: Price of training one checkpoint, in units of one gradient pass of a query.

    Returns:
        The most masks for each number of checkpoints, and fewer masks where these are cheaper.
    """
    return [
        Choice(
            checkpoints=checkpoints,
            masks=masks,
            variance=components.variance(checkpoints, masks),
            reliability=components.reliability(checkpoints, masks),
            cost=checkpoints * (train_cost + masks),
        )
        for checkpoints in counts
        for masks in range(1, budget // checkpoints + 1)
        if components.rho_within is not None or masks == 1
    ]


def recommend_choice(found: Sequence[Choice], tolerance: float = 0.01) -> Choice | None:
    """Find the cheapest choice whose reliability is within a tolerance of the best."""
    known = [choice for choice in found if not np.isnan(choice.reliability)]
    if not known:
        return None
    best = max(choice.reliability for choice in known)
    enough = [choice for choice in known if choice.reliability >= best - tolerance]
    return min(enough, key=lambda choice: (choice.cost, choice.passes, -choice.reliability))
