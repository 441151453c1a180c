"""Scores of features that no index stores, by member of the ensemble.

Letters: N training points, T queries, M members, K numbers of a feature.
"""

import numpy as np
from numpy.typing import NDArray

from byline.index.index import AttributionIndex


def member_scores(
    index: AttributionIndex,
    vectors_NK: NDArray[np.float64],
    queries_TK: NDArray[np.float64],
    parts_TMK: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Score training points' features for queries.

    Args:
        index: Tells the members' stretches of a feature.
        vectors_NK: Training points' features, row weight included (`Featurizer.train`).
        queries_TK: Queries' features.
        parts_TMK: The members' parts of them, where the index has a PCA.

    Returns:
        float64 [N, T, M], whose mean over the members is the score. [N, T, 1] where the members' own scores are not known.
    """
    if parts_TMK is not None:
        own_NTM = np.einsum("nk,tmk->ntm", vectors_NK, parts_TMK, optimize=True)
    elif len(index.slices) == len(index.members):
        own = [vectors_NK[:, stretch] @ queries_TK[:, stretch].T for stretch in index.slices]
        own_NTM = np.stack(own, axis=-1)
    else:
        own_NTM = (vectors_NK @ queries_TK.T)[:, :, None]
    scores_NTM: NDArray[np.float64] = own_NTM * own_NTM.shape[-1]
    return scores_NTM
