"""Fine-tuned adapters of peft as the attributed parameters of a model: the weights below them are loaded and frozen.

`byline.models.adapters` has the other use, several LoRA adapters as members of an ensemble.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from byline.digests import require_digest, tensors_digest
from byline.errors import InvalidTask
from byline.models.adapters import CONFIG, PREFIX, Adapter, adapter_tensors, peft, read_settings
from byline.models.weight_files import read_weights
from byline.models.weights import put_weights
from byline.task import Checkpoint, CheckpointDigests

_NAME = "default"


def with_adapter(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """Put an untrained adapter into a model, and let training change its parameters alone.

    Args:
        model: Changed in place.
        settings: The document of `adapter_config.json`, of any kind that peft injects into a model.

    Returns:
        The model. Names of its modules stay, with peft's layers around those that are adapted.

    Raises:
        InvalidTask: This release of peft does not know the kind, or the model has no such modules.
        InvalidRecipe: peft is not installed.
    """
    library, kind = peft(), str(settings.get("peft_type"))
    known = library.PEFT_TYPE_TO_CONFIG_MAPPING.get(kind)
    if known is None:
        raise InvalidTask(
            f"expected {CONFIG} of an adapter that peft {library.__version__} knows, got the type {kind!r:.40}"
        )
    fields = {name: value for name, value in settings.items() if name in known.__dataclass_fields__}
    config = known(**{n: v for n, v in fields.items() if n != "peft_type"} | {"inference_mode": False})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft tells that it corrects fan_in_fan_out for transposed layers
        try:
            adapted: nn.Module = library.inject_adapter_in_model(config, model, _NAME)
        except ValueError as error:
            raise InvalidTask(
                f"expected an adapter that peft can put into {type(model).__name__}, got one of type {kind} that it "
                f"cannot ({error!s:.200}): pass the base model that it was trained on, or the PeftModel in memory"
            ) from error
    return adapted


def read_fine_tune(folder: Path) -> Adapter:
    """Read an adapter of any kind that `save_pretrained` of peft, or the Trainer, wrote into a folder.

    Raises:
        InvalidTask: It is not there.
    """
    return Adapter(folder, read_settings(folder), adapter_tensors(folder))


def load_fine_tune(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Load the weights below an adapter, and the adapter.

    Args:
        model: With an untrained adapter of the same settings (`with_adapter`). Changed in place.
        checkpoint: With `Checkpoint.base`.

    Raises:
        InvalidTask: One of them does not fit the model.
        StaleIndex: They are not those that an index is made of.
    """
    adapter, base = _parts(checkpoint)
    if checkpoint.expected is not None and checkpoint.expected.base is not None:
        require_digest(f"the adapter at {adapter.folder}", adapter.digest, checkpoint.expected.weights)
        require_digest(f"the weights at {checkpoint.base}", tensors_digest(base), checkpoint.expected.base)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    put_weights(model, base, apart=trained)
    _put_adapter(model, adapter)


def fine_tune_digests(checkpoint: Checkpoint) -> CheckpointDigests:
    """Digest an adapter with its settings, and the weights below it.

    Raises:
        InvalidTask: One of them cannot be read.
    """
    adapter, base = _parts(checkpoint)
    return CheckpointDigests(weights=adapter.digest, base=tensors_digest(base))


def _parts(checkpoint: Checkpoint) -> tuple[Adapter, dict[str, Tensor]]:
    assert isinstance(checkpoint.weights, Path | str)
    assert checkpoint.base is not None
    return read_fine_tune(Path(checkpoint.weights)), read_weights(Path(checkpoint.base))


def _put_adapter(model: nn.Module, adapter: Adapter) -> None:
    given = {name.removeprefix(PREFIX): tensor for name, tensor in adapter.tensors.items()}
    trained = {id(parameter): name for name, parameter in model.named_parameters() if parameter.requires_grad}
    try:
        result = peft().set_peft_model_state_dict(model, given, _NAME)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InvalidTask(f"{adapter.folder}: its tensors are not the model's: {reason}") from error
    missing = sorted(set(trained.values()) & set(result.missing_keys))
    unknown = result.unexpected_keys
    if missing or unknown:
        first = missing[0] if missing else unknown[0]
        raise InvalidTask(
            f"{adapter.folder}: expected the {len(trained)} parameters of the adapter, got {len(given)} tensors: "
            f"{len(missing)} missing, {len(unknown)} unknown, the first '{first}': save it with peft's save_pretrained, "
            f"and pass the base model that it was trained on"
        )
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(parameter.isfinite().all()):
            raise InvalidTask(
                f"{adapter.folder}: expected weights that are numbers, got NaN or infinity in '{name}'"
            )
