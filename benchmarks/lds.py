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
    return _spearman(_predicted(scores_QR, subsets_SR), outputs_SQ)


def interval(
    scores_QR: np.ndarray, subsets_SR: np.ndarray, outputs_SQ: np.ndarray, draws: int = 200
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean LDS, over queries and subsets at once."""
    predicted_SQ = _predicted(scores_QR, subsets_SR)
    subsets, queries = outputs_SQ.shape
    rng = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        pick = np.ix_(rng.integers(0, subsets, subsets), rng.integers(0, queries, queries))
        means.append(np.nanmean(_spearman(predicted_SQ[pick], outputs_SQ[pick])))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _predicted(scores_QR: np.ndarray, subsets_SR: np.ndarray) -> np.ndarray:
    return subsets_SR.astype(np.float64) @ scores_QR.T.astype(np.float64)


def _spearman(predicted_SQ: np.ndarray, outputs_SQ: np.ndarray) -> np.ndarray:
    a, b = rankdata(predicted_SQ, axis=0), rankdata(outputs_SQ, axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
