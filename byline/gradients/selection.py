"""The selection of attributed parameters: those that training could change, cut into blocks."""

from collections import Counter
from dataclasses import dataclass

from torch import Tensor, nn

from byline.errors import InvalidTask, UnsupportedModel
from byline.gradients.outer_products.blocks import Block, Form
from byline.gradients.quantization import has_numbers
from byline.task import LayerSelection


@dataclass(frozen=True)
class Selection:
    """The parameters of a model, sorted."""

    blocks: tuple[Block, ...]
    """Blocks of attributed parameters."""
    frozen: tuple[str, ...]
    """Selected parameters that are not attributed, since `requires_grad` is False."""
    quantized: tuple[str, ...] = ()
    """Selected parameters that are not attributed, since they hold the integers of a quantized weight."""


def select(model: nn.Module, layers: LayerSelection) -> Selection:
    """Cut the selected parameters of a model into blocks.

    A parameter that several modules share is one block, whichever of them was selected. A bias is folded
    into its weight's block unless one of the two is shared.

    Args:
        model: With `requires_grad` as training left it.
        layers: Which modules, and whether frozen parameters too.

    Raises:
        InvalidTask: The selection leaves nothing to attribute.
        UnsupportedModel: A selected parameter is complex.
    """
    owners = {name: own for name, m in model.named_modules() if (own := _own_parameters(m))}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    chosen = {id(p): p for name, own in owners.items() if layers.selects(name) for p in own.values()}
    coded = {key for key, p in chosen.items() if not has_numbers(p)}
    trained = {key for key, p in chosen.items() if (p.requires_grad or layers.frozen) and key not in coded}
    frozen = tuple(name for key, name in names.items() if key in chosen and key not in trained | coded)
    _refuse_nothing(list(owners), chosen, trained, coded)
    _refuse_complex({names[key]: chosen[key] for key in trained})
    shares = Counter(id(p) for own in owners.values() for p in own.values())
    blocks: dict[str, Block] = {}
    modules = dict(model.named_modules())
    for owner, own in owners.items():
        module = modules[owner]
        kept = {name: p for name, p in own.items() if id(p) in trained}
        folded = _folds_bias(module) and {"weight", "bias"} <= set(kept)
        folded = folded and all(shares[id(kept[name])] == 1 for name in ("weight", "bias"))
        for name, parameter in kept.items():
            if folded and name == "bias":
                continue
            parts = [parameter, kept["bias"]] if folded and name == "weight" else [parameter]
            block = Block(
                name=names[id(parameter)],
                parameters=tuple(names[id(p)] for p in parts),
                shapes=tuple(tuple(p.shape) for p in parts),
                form=_form(module) if name == "weight" else "vector",
            )
            # A weight that a module of a known kind shares with another has that kind's form, wherever it comes first.
            if block.name not in blocks or blocks[block.name].form == "vector":
                blocks[block.name] = block
    return Selection(tuple(blocks.values()), frozen, tuple(n for key, n in names.items() if key in coded))


def _own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """A module's own parameters. One without numbers, such as a matrix of no columns, has no gradient."""
    return {name: p for name, p in module.named_parameters(recurse=False) if p.numel()}


def _refuse_nothing(
    owners: list[str], chosen: dict[int, nn.Parameter], trained: set[int], coded: set[int]
) -> None:
    if not chosen:
        raise InvalidTask(
            f"expected Task.layers to select modules with parameters, got a selection of none of {len(owners)}: "
            f"their names begin {', '.join(owners[:8])}"
        )
    if len(coded) == len(chosen):
        raise InvalidTask(
            f"expected parameters that have a gradient, got {len(chosen)} that are all integers of quantized weights: load "
            f"the model without quantization, or put an adapter (LoRA) on it"
        )
    if not trained:
        raise InvalidTask(
            f"expected parameters that training can change, got {len(chosen)} that are all frozen (requires_grad=False): "
            f"leave requires_grad as it was in training, or attribute frozen parameters with "
            f"Task.layers = LayerSelection(frozen=True)"
        )


def _refuse_complex(parameters: dict[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        if parameter.is_complex():
            raise UnsupportedModel(
                f"expected real parameters, got '{name}' of type {parameter.dtype}: keep it as two real numbers each "
                f"(torch.view_as_real), or exclude its module from Task.layers"
            )


def _is_hugging_face_conv1d(module: nn.Module) -> bool:
    return any(
        k.__name__ == "Conv1D" and k.__module__ == "transformers.pytorch_utils" for k in type(module).__mro__
    )


def _folds_bias(module: nn.Module) -> bool:
    return _form(module) != "vector" and not isinstance(module, nn.Embedding)


def _form(module: nn.Module) -> Form:
    """The form of the weight of a module of this kind."""
    if _is_hugging_face_conv1d(module):
        return "transposed"
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return "matrix" if module.groups == 1 else "vector"
    return "matrix" if isinstance(module, nn.Linear | nn.Embedding) else "vector"
