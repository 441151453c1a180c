"""Read points in the forms that callers have them in: payloads, data sets of items, or inputs and labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from byline.attribution.candidate_scores import Candidate, TargetSet
from byline.attribution.score_matrix import query_items
from byline.attribution.selection import Selection, parsed_candidate
from byline.errors import InvalidQuery
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.models.training_points import EVALUATION
from byline.task import Task, TrainSet
from byline.tasks.points import Points


@dataclass(frozen=True, kw_only=True)
class PointForms:
    """The forms of points that one opened index understands."""

    task: Task | None
    """Parses payloads. None where the index was opened without it."""
    featurizer: GradientFeaturizer | None
    """A `Featurizer` where there is a Task."""

    def is_payloads(self, points: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
        """Tell payloads of queries from complete items: a list of mappings, where the Task has a query interface."""
        has_interface = self.task is not None and self.task.query is not None
        return (
            has_interface
            and isinstance(points, list | tuple)
            and all(isinstance(point, Mapping) for point in points)
        )

    def models(self) -> Featurizer:
        """Return what differentiates items.

        Raises:
            InvalidQuery: The index was opened without its Task.
        """
        if isinstance(self.featurizer, Featurizer):
            return self.featurizer
        raise InvalidQuery(
            "expected an index that was opened with its Task, for queries that are payloads or items: "
            "byline.open(path, task=task)"
        )

    def candidates(self, points: Points) -> Iterator[Candidate]:
        """Read candidates one by one.

        Args:
            points: N points in any form.

        Yields:
            Candidates, named by their number from 1.

        Raises:
            InvalidQuery: A payload lacks its label or completion, or a point has another form.
        """
        if self.is_payloads(points):
            assert self.task is not None
            assert self.task.query is not None
            for number, payload in enumerate(points, 1):
                yield parsed_candidate(self.task.query, payload, f"candidate {number}")
            return
        items = query_items(self.models(), points, "candidates")
        for place in range(len(items)):
            yield Candidate(name=f"candidate {place + 1}", items=[items[place]])

    def target_set(self, selection: Selection, points: Points | None) -> TargetSet:
        """Make the target set that candidates are scored for.

        Args:
            selection: Makes the features.
            points: Points in any form. None takes the Task's evaluation set.

        Raises:
            InvalidQuery: There are neither points nor an evaluation set, or a point does not fit.
        """
        if points is None:
            return selection.of_items(self._evaluation_set(), EVALUATION)
        if self.is_payloads(points):
            return selection.of_payloads(points)
        return selection.of_items(query_items(self.models(), points, "target points"))

    def _evaluation_set(self) -> TrainSet:
        if self.task is None or self.task.evaluation_set is None:
            raise InvalidQuery(
                "expected targets, or a Task with an evaluation_set, got neither: pass the points whose loss is to fall"
            )
        return self.task.evaluation_set
