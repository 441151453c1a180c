"""Terms, defaults and bounds that requests, answers and the command line share. Importing them costs nothing."""

from typing import Literal

Direction = Literal["proponents", "opponents", "both"]
"""An end of the scores, or both ends."""
Similarity = Literal["bm25", "representation"]
"""A baseline that ranks training points by their similarity to a query."""
Ranking = Literal["bm25", "representation", "blend"]
"""A ranking beside influence: a similarity, or the index's blend of influence and one of them."""
Baseline = Literal["bm25", "representation", "knn_shapley", "patches"]
"""Every baseline. Only `byline scores` offers `knn_shapley`, which values training points by their labels, and `patches`,
which compares images."""
Scored = Literal["bm25", "representation", "knn_shapley", "patches", "blend"]
"""Every score beside influence, as `byline scores` writes it."""
ErrorScope = Literal["within_checkpoint", "between_checkpoints"]
"""The variation that a standard error covers: masks of one checkpoint, or separately trained checkpoints."""

Asked = Literal["query", "query_set", "gradient", "feature"]
"""The form of a question. The service differentiates a query and a query set itself. A gradient or a feature is the
caller's own computation."""
RAW_FORMS: tuple[Asked, ...] = ("query", "query_set")
"""Forms that the service differentiates itself."""

LISTED_POINTS = 10
"""Training points that an answer lists at each end unless `k` asks for another number."""
LISTED_OWNERS = 100
"""Owners that an answer lists unless `owners_limit` asks for another number."""
DRILLED_GROUPS = 10
"""Groups at each end that a drill-down scores unless `drill_groups` asks for another number."""
LEAST_COUNT = 1
"""Smallest value of `k`, `owners_limit` and `drill_groups`."""
REFINE_STEPS = 0
"""Steps of `refine` unless it asks for another number: none."""
MOST_REFINE_STEPS = 64
"""Largest value of `refine`."""
REPLICATES = 0
"""Sets of draws that a query's score is a mean over unless `replicates` asks for another number: its own alone."""
MOST_REPLICATES = 64
"""Largest value of `replicates`."""
LISTED_END: Direction = "proponents"
"""End of the scores that an answer lists unless `direction` asks for another."""
