"""Terms that requests, answers and the command line share. Importing them costs nothing."""

from typing import Literal

Direction = Literal["proponents", "opponents", "both"]
"""An end of the scores, or both ends."""
Similarity = Literal["bm25", "representation"]
"""A baseline that ranks training points by their similarity to a query."""
Baseline = Literal["bm25", "representation", "knn_shapley"]
"""Every baseline. `knn_shapley` values training points by their labels, and only `byline scores` offers it."""
ErrorScope = Literal["within_checkpoint", "between_checkpoints"]
"""The variation that a standard error covers: masks of one checkpoint, or separately trained checkpoints."""
