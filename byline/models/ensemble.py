"""The models of an ensemble's members in one process, each loaded and checked once."""

from collections.abc import Callable

from byline.members import Member
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import Checks
from byline.recipes import Recipe
from byline.task import Task


class EnsembleModels:
    """Loads members at their first use, and keeps them.

    Members with the same weights share one network and its collector, so that the gradients are compared with autograd
    once. Weights that two members have alike, as those below adapters, are kept once.

    Args:
        task: Declares the model and its checkpoints.
        recipe: Names the train signal and the masks' rate.
        compute: Device and precision. None takes the CPU in single precision.
        checks: Results of earlier checks. None checks every model.
    """

    def __init__(
        self, task: Task, recipe: Recipe, compute: Compute | None = None, checks: Checks | None = None
    ) -> None:
        self._task, self._recipe, self._compute, self._checks = task, recipe, compute, checks
        self._models: dict[Member, MemberModel] = {}

    def load(self, member: Member) -> MemberModel:
        """Return a member's model. Its first call loads the weights and checks the gradients.

        Args:
            member: One of the ensemble's members.

        Raises:
            InvalidTask: The weights do not fit the model.
            InvalidRecipe: The member has a mask, and no module of the model drops anything.
            UnsupportedModel: The model cannot be differentiated example by example.
        """
        if member not in self._models:
            sibling = self._find(lambda known: known.same_model(member))
            model = MemberModel.load(self._task, self._recipe, member, self._compute, sibling, self._checks)
            first = next(iter(self._models.values()), None)
            if sibling is None and first is not None:
                model.share_weights(first)
            self._models[member] = model
        return self._models[member]

    def _find(self, fits: Callable[[Member], bool]) -> MemberModel | None:
        return next((model for known, model in self._models.items() if fits(known)), None)
