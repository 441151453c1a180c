"""Names of the gradients that a client computes with a model of its own, matched to an index's parameters."""

from collections.abc import Mapping

from torch import Tensor

from byline.gradients.outer_products.tensors import check_gradients
from byline.models.weight_names import own_names


def checked_gradients(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Name gradients as the index does, and check them.

    Wrappers of the client's model are understood as in weights: `base_model.model.` of peft, `module.`, `_orig_mod.`.

    Args:
        tensors: `member/parameter` -> gradient.
        expected: `member/parameter` -> shape.

    Returns:
        The gradients by the expected names.

    Raises:
        InvalidQuery: A name is missing or unknown, a shape differs, or a number is not finite.
    """
    if set(tensors) == set(expected):
        named = dict(tensors)
    else:
        members = {name.partition("/")[0] for name in tensors}
        names = {given: own for member in members for given, own in _names(member, tensors, expected).items()}
        named = {names.get(name, name): tensor for name, tensor in tensors.items()}
        if len(named) < len(tensors):  # two names of one parameter: said as they came
            named = dict(tensors)
    check_gradients(named, expected)
    return named


def _names(
    member: str, given: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    prefix = f"{member}/"
    stored, own = (
        [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        for names in (given, expected)
    )
    return {f"{prefix}{name}": f"{prefix}{match}" for name, match in own_names(stored, own).items()}
