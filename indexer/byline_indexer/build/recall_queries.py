"""Make features of real queries, which the recall of compressed search is measured on.

Shapes: Q queries, K numbers of a feature.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from byline.errors import BylineError
from byline.features.queries import Featurizer
from byline.models.training_points import EVALUATION, TRAINING, NamedItems, read_items
from byline.randomness import stratified_positions, stream_key
from byline.task import Task
from byline_indexer.build.contents import member_state
from byline_indexer.units.batches import BatchLimits, item_length, packs
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.workspace import Workspace

QUERIES = 16
"""Queries of each target."""
SOLVED_QUERIES = 2
"""Number of queries if each is solved with passes over training points, all with the recipe's own target."""
MOST_TARGETS = 16
"""Targets that are measured; of more, the first by name."""


def real_queries(
    plan: BuildPlan, workspace: Workspace, task: Task, say: Callable[[str], None]
) -> dict[str, NDArray[np.float32]]:
    """Make features of some items of the evaluation set, or of the training set where the Task has none.

    Args:
        plan: The build. All its units are finished.
        workspace: Their outputs.
        task: The Task.
        say: Receives the names of targets that could not be measured. They do not fail a build.

    Returns:
        Target -> float32 [Q, K].
    """
    solved = plan.recipe.sides == "solved"
    targets = [plan.recipe.query_target] if solved else ["loss", *sorted(task.targets)][:MOST_TARGETS]
    states = {member.name: member_state(plan, workspace, member.name) for member in plan.members}
    features: dict[str, NDArray[np.float32]] = {}
    try:
        items = _items(task, plan.rows, SOLVED_QUERIES if solved else QUERIES)
        featurizer = Featurizer.open(task, plan.recipe, states, plan.numerics.compute)
    except BylineError as error:
        say(f"the recall of compressed search is not measured on real queries: {error}")
        return features
    for target in targets:
        try:
            features[target] = _features(featurizer, items, target, plan.numerics.limits)
        except Exception as error:  # a target is the user's code, and may not fit these items
            say(
                f"the recall of compressed search is not measured for target '{target}': {type(error).__name__}"
            )
    return features


def _items(task: Task, rows: int, count: int) -> NamedItems:
    source, size = (
        (task.train_set, rows)
        if task.evaluation_set is None or not len(task.evaluation_set)
        else (task.evaluation_set, len(task.evaluation_set))
    )
    name = TRAINING if source is task.train_set else EVALUATION
    return read_items(
        source, stratified_positions(stream_key(0, "recall queries"), size, count).tolist(), name
    )


def _features(
    featurizer: Featurizer, items: NamedItems, target: str, limits: BatchLimits
) -> NDArray[np.float32]:
    batches = list(packs([item_length(item) for item in items], limits))
    made = [featurizer.query(items.chosen(batch), target).numpy() for batch in batches]
    features_QK = np.concatenate(made)[np.argsort(np.concatenate(batches))]
    if not np.isfinite(features_QK).all():
        raise ValueError("a feature is not finite")
    return features_QK
