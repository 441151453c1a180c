"""The gradients that an index asks for, computed in the caller's own loop.

An index lists them as `member/parameter` (`IndexInfo.gradients`). A member is one model of its ensemble: `c0` is its first
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
"""Names that a message lists."""


def gradient_of(model: "Models", loss: "Loss", info: IndexInfo) -> "dict[str, Tensor]":
    """Compute the gradients that an index asks for.

    Parameters that are tied may go by any of their names, `DistributedDataParallel` and `torch.compile` may be around the
    model, and parameters that the loss does not depend on have a gradient of zeros. Where the index wants a model under
    dropout masks, the same masks are put in place here, so put the model in evaluation mode first.

    Args:
        model: The model; or models by member, or by member without its mask: `{"c0": first, "c1": second}`.
        loss: The query's loss, or a target with a minus sign, as one number: a function of the model that is called once
            for every member, and once more where there are masks; or the number itself, where the index wants the gradients
            of one model without a mask.
        info: The index's description, `client.index(name)`.

    Returns:
        `member/parameter` -> gradient, shaped like the parameter.

    Raises:
        InvalidQuery: The models, their parameters or the loss are not what the index wants.
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
            f"expected an index that takes gradients, got '{info.name}', which does not: send a query or a feature"
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
        f"expected loss to be a function of the model, since this index wants its gradient under {len(wanted)} members "
        f"({_listed(wanted)}), got a finished number: pass `lambda model: ...`"
    )


def _model_of(models: "Models", member: str, wanted: Mapping[str, object]) -> "tuple[nn.Module, bool]":
    """A member's model, and whether the member's mask is still to be put in place."""
    whole = _MASK.sub("", member)
    if not isinstance(models, Mapping):
        others = sorted({_MASK.sub("", each) for each in wanted})
        if len(others) > 1:
            raise InvalidQuery(
                f"expected a model for each of {_listed(others)}, since this index is of an ensemble, got one model: "
                f"pass {{'{others[0]}': ..., '{others[1]}': ...}}"
            )
        return models, whole != member
    if member in models:
        return models[member], False
    if whole in models:
        return models[whole], True
    raise InvalidQuery(
        f"expected a model named '{whole}', got models named {_listed(models)}: this index wants {_listed(wanted)}"
    )


def _unwrapped(model: "nn.Module") -> "nn.Module":
    """What the wrappers of `torch.compile` and of data parallelism are around."""
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
    """What each dropout module drops, from one call of the loss."""
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
    """The parameters that are wanted; tied ones by any of their names."""
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
    """Let frozen parameters have gradients, where the loss is yet to be computed."""
    frozen = {name: each for name, each in parameters.items() if not each.requires_grad}
    if frozen and not frozen_too:
        raise InvalidQuery(
            f"expected parameters that require gradients, got the frozen {_listed(frozen)}: pass the loss as a function of "
            f"the model, which is then called with them thawed"
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
