"""Items as vectors: `Task.representation` of training points and queries, through one trained model.

Letters: N items, D numbers of a representation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from byline.errors import InvalidTask
from byline.models.device import CPU
from byline.models.training_points import collate_items, faulty_item_named
from byline.task import Item, Objective, Task


class Representations:
    """Runs `Task.representation`.

    Args:
        task: Declares it.
        model: A trained network in evaluation mode, on `device`.
        purpose: Consumer of the representations, for the message where the Task declares none.
        device: The model's device.

    Raises:
        InvalidTask: The Task declares no representation.
    """

    def __init__(self, task: Task, model: nn.Module, *, purpose: str, device: torch.device = CPU) -> None:
        self._represent = require_representation(task, purpose)
        self._task, self._model, self._device = task, model, device

    def of(self, items: Sequence[Item]) -> Tensor:
        """Compute the representations of some items in one batch.

        Args:
            items: Complete items of the data set's kind.

        Returns:
            float32 [N, D], on the CPU.

        Raises:
            InvalidTask: It does not return one row an item.
        """
        batch = collate_items(self._task, items, self._device)
        with torch.no_grad(), faulty_item_named(items, lambda item: self.of([item])):
            found = self._represent(self._model, batch)
        if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(items):
            got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InvalidTask(f"expected Task.representation to return a tensor [{len(items)}, D], got {got}")
        return found.detach().flatten(1).float().cpu()


def require_representation(task: Task, purpose: str) -> Objective:
    """Take the Task's representation.

    Args:
        task: Declares it.
        purpose: Consumer of the representation, for the message.

    Raises:
        InvalidTask: It declares none.
    """
    if task.representation is None:
        raise InvalidTask(
            f"expected Task.representation, which {purpose} compares, got None: declare it, such as the input of "
            f"the last layer, `(model, batch) -> h_ND`"
        )
    return task.representation
