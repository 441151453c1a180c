"""Follow a forward pass, and note the axis of every tensor that holds features."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from byline.gradients.masks.axes import Axes, Axis, Known, Operation, Rule, unknown_axes
from byline.gradients.masks.axis_rules import keeps_probabilities, makes_probabilities, rule_of


class AxisFollower(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Follows the features' axes of every tensor, in this thread and while the block runs.

    Args:
        model: Its parameters and buffers are weights.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model = model
        self._known = WeakTensorKeyDictionary()
        self._consumed: list[tuple[int, Axis]] = []
        self.clock = 0
        """Operations so far."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave `__torch_dispatch__` as it is: what torch wraps it in imports its compiler, a second and a half."""
        return False

    def known(self, tensor: Tensor) -> Known:
        """Look up the known axes of a tensor."""
        found: Known | None = self._known.get(tensor)  # type: ignore[no-untyped-call]
        if found is None:
            found = Known(unknown_axes(tensor.shape), weight=self._is_weight(tensor))
            self._known[tensor] = found
        return found

    def _is_weight(self, tensor: Tensor) -> bool:
        """Asked when it is first met: `functional_call` may have put others in the place of the parameters."""
        return any(tensor is own for own in (*self._model.parameters(), *self._model.buffers()))

    def consumer(self, axes: Axes, since: int) -> int | None:
        """Find the axis that the first layer with weights after a moment takes as its features.

        Args:
            axes: Axes of the tensor.
            since: Reading of the clock at that time.

        Returns:
            The axis. None where no such layer follows, or where it takes several together.
        """
        roots = [{part.source.root for part in axis} for axis in axes]
        for moment, axis in self._consumed:
            if moment > since:
                origins = {origin for part in axis for origin in part.source.origins()}
                places = [place for place, own in enumerate(roots) if own & origins]
                if places:
                    return places[0] if len(places) == 1 else None
        return None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and note what is known of its outputs."""
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and not leaf.is_nested]
        self.clock += 1
        if outputs:
            self._note(func, _by_name(func, args, kwargs or {}), outputs)
        return result

    def _note(self, func: Any, arguments: Mapping[str, Any], outputs: Sequence[Tensor]) -> None:
        operation = Operation(arguments, outputs, self.known, self._consume)
        inputs = [tensor for tensor in operation.tensors() if tensor.dim() and not tensor.is_nested]
        known = [self.known(tensor) for tensor in inputs]
        weight = bool(known) and all(each.weight for each in known)
        probabilities = makes_probabilities(func) or keeps_probabilities(inputs, known, outputs[0])
        nested = any(tensor.is_nested for tensor in operation.tensors())
        found = [] if nested else _followed(rule_of(func), operation)
        for place, output in enumerate(outputs):
            axes = found[place] if place < len(found) else unknown_axes(output.shape)
            if len(axes) != output.dim():
                axes = unknown_axes(output.shape)
            self._known[output] = Known(axes, weight, probabilities)

    def _consume(self, axis: Axis) -> None:
        self._consumed.append((self.clock, axis))


def _followed(rule: Rule, operation: Operation) -> Sequence[Axes]:
    """Apply a rule. Nothing is known where it does not expect such arguments."""
    try:
        return rule(operation)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return []


def _by_name(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = [argument.name for argument in func._schema.arguments]
    return dict(zip(names, args, strict=False)) | dict(kwargs)
