"""Linear datamodelling score of the benchmarks: `byline.metrics`, by arrays of scores, subsets and outputs."""

import numpy as np

from byline.metrics import agreement, predicted_outputs, two_way_interval


def lds(scores_QR: np.ndarray, subsets_SR: np.ndarray, outputs_SQ: np.ndarray) -> np.ndarray:
    """Spearman correlation, for each query, of predicted and real outputs over the subsets.

    Args:
        scores_QR: Score of every training point for every query.
        subsets_SR: Bool; which points each retrained model saw.
        outputs_SQ: The queries' outputs f (here minus the loss) of those models, averaged over seeds.

    Returns:
        One number a query; NaN where the outputs do not vary.
    """
    return agreement(predicted_outputs(scores_QR, subsets_SR), outputs_SQ.astype(np.float64))


def interval(
    scores_QR: np.ndarray, subsets_SR: np.ndarray, outputs_SQ: np.ndarray, draws: int = 200
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean LDS, over queries and subsets at once."""
    found = two_way_interval(
        predicted_outputs(scores_QR, subsets_SR), outputs_SQ.astype(np.float64), draws=draws
    )
    if found is None:
        raise ValueError("expected outputs of which some query's vary over the subsets")
    return found.low, found.high


def bootstrap(
    scores_QR: np.ndarray, subsets_SR: np.ndarray, outputs_SQ: np.ndarray, draws: int = 200
) -> np.ndarray:
    """Mean LDS of resampled queries and subsets: [draws]. The draws are the same for all scores, so that they pair."""
    predicted_SQ, outputs = predicted_outputs(scores_QR, subsets_SR), outputs_SQ.astype(np.float64)
    subsets, queries = outputs.shape
    generator = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        pick = np.ix_(generator.integers(0, subsets, subsets), generator.integers(0, queries, queries))
        means.append(np.nanmean(agreement(predicted_SQ[pick], outputs[pick])))
    return np.array(means)
