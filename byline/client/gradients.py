"""The gradients that an index needs, computed in your own model.

An index lists them as `member/parameter` (`IndexInfo.gradients`). A member is one model of its ensemble: `c0` is the first
checkpoint, `c1-a0` the first LoRA adapter of the second one, `c0-m3` the first one under the dropout mask of seed 3.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from byline.api.attributions import IndexInfo
from byline.errors import InvalidQuery

if TYPE_CHECKING:
    from torch import Tensor, nn

    from byline.gradients import MaskPlan

    Loss = Tensor | Callable[[nn.Module], Tensor]
    Models = nn.Module | Mapping[str, nn.Module]

_MASK = re.compile(r"-m(\d+)$")
_SHOWN = 5
"""Number of names that a message lists."""


def gradient_of(model: "Models", loss: "Loss", info: IndexInfo) -> "dict[str, Tensor]":
    """Compute the gradients that an index needs.

    A tied parameter may have any of its names. `DistributedDataParallel` and `torch.compile` may wrap the model. The
    gradient of an unused parameter is zero. If the index needs a model under dropout masks, this function applies the
    same masks, so set the model to evaluation mode first.

    Args:
        model: The model. For an ensemble: models by member, with or without the mask, `{"c0": first, "c1": second}`.
        loss: The query's loss, or a target with a minus sign, as one number. A function of the model is called once for
            each member, and once more if there are masks. If the index needs the gradient of a single model without a
            mask, the number itself is enough.
        info: Description of the index, from `client.index(name)`.

    Returns:
        Gradients by `member/parameter`, shaped like the parameters.

    Raises:
        InvalidQuery: The models, their parameters or the loss do not fit the index.
    """
    wanted = _by_member(info)
    _check_number(loss, wanted)
    found: dict[str, Tensor] = {}
    plans: dict[int, MaskPlan] = {}
    for member, shapes in wanted.items():
        chosen, masked = _model_of(model, member, wanted)
        inner = _unwrapped(chosen)
        if masked and id(inner) not in plans:
            plans[id(inner)] = _planned(inner, loss, chosen)
        with _mask(inner, member, info, plans[id(inner)]) if masked else nullcontext():
            gradients = _differentiated(_parameters(inner, shapes, member), loss, chosen)
        found |= {f"{member}/{name}": gradient for name, gradient in gradients.items()}
    return found


def _by_member(info: IndexInfo) -> dict[str, dict[str, Sequence[int]]]:
    if info.gradients is None:
        raise InvalidQuery(
            f"expected an index that takes gradients, got '{info.name}' without them: send a query or a feature"
        )
    wanted: dict[str, dict[str, Sequence[int]]] = {}
    for name, shape in info.gradients.items():
        member, _, parameter = name.partition("/")
        wanted.setdefault(member, {})[parameter] = shape
    return wanted


def _check_number(loss: "Loss", wanted: Mapping[str, object]) -> None:
    if callable(loss) or (len(wanted) == 1 and not _MASK.search(next(iter(wanted)))):
        return
    raise InvalidQuery(
        f"expected loss to be a function of the model, because this index needs its gradient under {len(wanted)} members "
        f"({_listed(wanted)}), got a finished number: pass `lambda model: ...`"
    )


def _model_of(models: "Models", member: str, wanted: Mapping[str, object]) -> "tuple[nn.Module, bool]":
    """Find the model of a member, and whether it still needs the member's mask."""
    whole = _MASK.sub("", member)
    if not isinstance(models, Mapping):
        others = sorted({_MASK.sub("", each) for each in wanted})
        if len(others) > 1:
            raise InvalidQuery(
                f"expected a model for each of {_listed(others)}, because this index has an ensemble, got one model: "
                f"pass {{'{others[0]}': ..., '{others[1]}': ...}}"
            )
        return models, whole != member
    if member in models:
        return models[member], False
    if whole in models:
        return models[whole], True
    raise InvalidQuery(
        f"expected a model named '{whole}', got models named {_listed(models)}: this index needs {_listed(wanted)}"
    )


def _unwrapped(model: "nn.Module") -> "nn.Module":
    """Unwrap a model from `torch.compile` and data parallelism."""
    from torch import nn

    inner = model
    while True:
        wrapped = getattr(inner, "_orig_mod", None)
        if wrapped is None and isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel):
            wrapped = inner.module
        if wrapped is None:
            return inner
        inner = wrapped


def _planned(inner: "nn.Module", loss: "Loss", model: "nn.Module") -> "MaskPlan":
    """Plan the masks of each dropout module, from one call of the loss."""
    from byline.gradients import plan_masks

    assert callable(loss)
    return plan_masks(inner, [[lambda: loss(model)]])


def _mask(
    model: "nn.Module", member: str, info: IndexInfo, masks: "MaskPlan"
) -> AbstractContextManager[None]:
    from byline.gradients import DropoutMask

    found = _MASK.search(member)
    assert found is not None
    plan: Any = info.recipe_document["members"]
    return DropoutMask(model, int(found.group(1)), plan["mask_rate"], masks).active()


def _parameters(
    model: "nn.Module", shapes: Mapping[str, Sequence[int]], member: str
) -> "dict[str, nn.Parameter]":
    """Select the needed parameters. A tied parameter may have any of its names."""
    there = dict(model.named_parameters(remove_duplicate=False))
    missing = [name for name in shapes if name not in there]
    if missing:
        raise InvalidQuery(
            f"expected the model of '{member}' to have the parameters {_listed(missing)} (and {len(shapes) - len(missing)} "
            f"more that it has), got one with {_listed(there)}: pass the module that the index's Task makes"
        )
    for name, shape in shapes.items():
        if tuple(there[name].shape) != tuple(shape):
            raise InvalidQuery(
                f"expected parameter '{name}' of '{member}' to be of shape {tuple(shape)}, got {tuple(there[name].shape)}"
            )
    return {name: there[name] for name in shapes}


def _differentiated(
    parameters: "Mapping[str, nn.Parameter]", loss: "Loss", model: "nn.Module"
) -> "dict[str, Tensor]":
    import torch

    with _learning(parameters, frozen_too=callable(loss)), torch.enable_grad():
        value = loss(model) if callable(loss) else loss
        if value.numel() != 1 or not value.requires_grad:
            raise InvalidQuery(
                f"expected the loss to be one number that depends on the model's parameters, got shape {tuple(value.shape)}"
                f"{'' if value.requires_grad else ' without a gradient'}"
            )
        distinct = list({id(each): each for each in parameters.values()}.values())
        gradients = torch.autograd.grad(value.sum(), distinct, allow_unused=True, materialize_grads=True)
    by_id = {id(each): gradient for each, gradient in zip(distinct, gradients, strict=True)}
    return {name: by_id[id(each)] for name, each in parameters.items()}


@contextmanager
def _learning(parameters: "Mapping[str, nn.Parameter]", *, frozen_too: bool) -> Iterator[None]:
    """Give frozen parameters a gradient while the loss is computed."""
    frozen = {name: each for name, each in parameters.items() if not each.requires_grad}
    if frozen and not frozen_too:
        raise InvalidQuery(
            f"expected parameters that require gradients, got the frozen {_listed(frozen)}: pass the loss as a function of "
            f"the model, which Byline then calls with these parameters unfrozen"
        )
    for each in frozen.values():
        each.requires_grad = True
    try:
        yield
    finally:
        for each in frozen.values():
            each.requires_grad = False


def _listed(names: "Mapping[str, Any] | Sequence[str]") -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
