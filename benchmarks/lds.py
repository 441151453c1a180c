"""Linear datamodelling score: how well summed scores rank the outputs of models retrained on subsets."""

import numpy as np
from scipy.stats import rankdata


def lds(scores_QR: np.ndarray, subsets_SR: np.ndarray, outputs_SQ: np.ndarray) -> np.ndarray:
    """Spearman correlation, for each query, of predicted and real outputs over the subsets.

    Args:
        scores_QR: Score of every training point for every query.
        subsets_SR: Bool; which points each retrained model saw.
        outputs_SQ: The queries' outputs f (here minus the loss) of those models, averaged over seeds.

    Returns:
        One number a query; NaN where the outputs do not vary.
    """
    predicted_SQ = subsets_SR.astype(np.float64) @ scores_QR.T.astype(np.float64)
    a, b = rankdata(predicted_SQ, axis=0), rankdata(outputs_SQ, axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))


def interval(per_subset: "Bootstrap", draws: int = 200, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval over queries and subsets at once."""
    rng = np.random.default_rng(seed)
    means = [per_subset.resampled(rng) for _ in range(draws)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


class Bootstrap:
    """What a two-way bootstrap of the LDS needs to draw again."""

    def __init__(self, scores_QR: np.ndarray, subsets_SR: np.ndarray, outputs_SQ: np.ndarray) -> None:
        self._predicted_SQ = subsets_SR.astype(np.float64) @ scores_QR.T.astype(np.float64)
        self._outputs_SQ = outputs_SQ

    def resampled(self, rng: np.random.Generator) -> float:
        """Mean LDS over a resample of subsets and of queries."""
        subsets = rng.integers(0, self._predicted_SQ.shape[0], self._predicted_SQ.shape[0])
        queries = rng.integers(0, self._predicted_SQ.shape[1], self._predicted_SQ.shape[1])
        pick = np.ix_(subsets, queries)
        a, b = rankdata(self._predicted_SQ[pick], axis=0), rankdata(self._outputs_SQ[pick], axis=0)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        return float(np.nanmean((a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))))
