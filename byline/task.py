"""The Task that a user declares: a model, its training set, and its queries.

Nothing here computes. `byline.tasks` has ready-made factories for the common cases.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, JsonValue
from torch import Tensor, nn
from torch.utils.data import default_collate

from byline import declarations
from byline.api.example import Example
from byline.errors import InvalidTask
from byline.paths import local_path

Item = Any
"""One element of the data set, in any form that `collate` understands."""
Batch = Any
"""The result of `collate`, which losses and targets get unchanged but for its device."""
Objective = Callable[[nn.Module, Batch], Tensor]
"""`(model, batch) -> values_N`: one number an example, each a function of that example alone."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class TrainSet(Protocol):
    """A sized, indexable collection of items. `torch.utils.data.Dataset`s and lists are such."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


@dataclass(frozen=True, kw_only=True)
class CheckpointDigests:
    """SHA-256 of what a checkpoint is made of. None for parts that are not used."""

    weights: str
    """Digest of the state dict's names, shapes and numbers, in any file format."""
    adapters: tuple[str, ...] = ()
    """Settings and numbers of the LoRA adapters that are used."""
    base: str | None = None
    """The weights below an adapter."""
    recording: str | None = None
    """The recorded run."""
    optimizer_state: str | None = None
    """The moments."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Trained weights of the model: one of the things that members of an ensemble differ by."""

    weights: Path | Mapping[str, Tensor]
    """A `.safetensors` file, a state dict saved with `torch.save` (read with `weights_only`), an index of shards
    (`model.safetensors.index.json`), a folder as `save_pretrained` writes it, or the state dict itself. A relative path is
    relative to the Task's file."""
    base: Path | None = None
    """Weights below a fine-tuned adapter, in one of these forms. `weights` is then the adapter's folder, as peft writes it,
    and `Task.model` builds the model with the adapter in it. `byline.tasks.LocalModel(adapter=...)` declares both."""
    name: str | None = None
    """Shown to people. Defaults to the file's name or the position."""
    learning_rate: float | None = None
    """Learning rate of the optimizer when these weights were saved. `tracin` and `less` weigh the checkpoints of a
    run by it."""
    steps: int | None = None
    """Optimizer steps that the run took until these weights. With the learning rate they say how far the run could move
    along each direction: `curvature.filter = "finite_run"` and the damping of solved queries take them."""
    optimizer_state: Path | Mapping[str, Tensor] | None = None
    """Adam's moments, `exp_avg/PARAMETER` and `exp_avg_sq/PARAMETER`, in a `.safetensors` file or as tensors
    (`byline.models.optimizer_state.adam_state` takes them from an optimizer), or the `optimizer.pt` of Hugging Face's
    Trainer. Where they are missing they are estimated."""
    adapters: Sequence[Path] = ()
    """Folders of LoRA adapters (peft) that were trained on top of these weights. `members.adapters` uses them."""
    recording: Path | None = None
    """Folder that a `byline.recording.TrainingRecorder` filled while these weights were trained; for `dvemb`. A relative
    path is relative to the Task's file."""
    expected: CheckpointDigests | None = None
    """Digests that every loading must match. Builds and opened indexes set them; leave them out in a Task's file."""

    def __post_init__(self) -> None:
        for place in (self.weights, self.base, self.optimizer_state, *self.adapters, self.recording):
            if isinstance(place, Path | str):
                local_path(place, "a checkpoint's file")
        declarations.require_weights("Checkpoint.weights", self.weights)
        declarations.require_path("Checkpoint.base", self.base)
        if self.base is not None and isinstance(self.weights, Mapping):
            raise InvalidTask(
                "expected Checkpoint.weights to be an adapter's folder where Checkpoint.base is set, got tensors: save the "
                "adapter with peft's save_pretrained"
            )
        if self.optimizer_state is not None:
            made_by = "byline.models.optimizer_state.adam_state(...)"
            declarations.require_weights("Checkpoint.optimizer_state", self.optimizer_state, what=made_by)
        declarations.require_rate("Checkpoint.learning_rate", self.learning_rate)
        declarations.require_count("Checkpoint.steps", self.steps)
        declarations.require_paths("Checkpoint.adapters", self.adapters)
        declarations.require_path("Checkpoint.recording", self.recording)
        declarations.require("Checkpoint.name", self.name, (str, type(None)), "text")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The model's predictive distribution, for curvature beyond the data's own labels.

    `loss(compute(model, batch), batch)` must equal `Task.loss(model, batch)`.
    """

    compute: Callable[[nn.Module, Batch], Tensor]
    """`(model, batch) -> outputs`: logits [N, C] or [N, T, C], or the means [N] of a regression."""
    loss: Callable[[Tensor, Batch], Tensor]
    """`(outputs, batch) -> losses_N`."""
    relabel: Callable[[Batch, Tensor], Batch]
    """`(batch, labels) -> batch` with labels [N] or [N, T] in place of its own. Positions that carry no loss
    carry none afterwards either."""
    kind: Literal["categorical", "gaussian"] = "categorical"
    """Labels are drawn from softmax(outputs), or from a normal distribution around them whose negative
    log-likelihood is the loss."""

    def __post_init__(self) -> None:
        declarations.require_function("Outputs.compute", self.compute, "(model, batch) -> outputs")
        declarations.require_function("Outputs.loss", self.loss, "(outputs, batch) -> losses_N")
        declarations.require_function("Outputs.relabel", self.relabel, "(batch, labels) -> batch")
        if self.kind not in ("categorical", "gaussian"):
            raise InvalidTask("expected Outputs.kind to be 'categorical' or 'gaussian', got something else")


@dataclass(frozen=True, kw_only=True)
class Positions:
    """The loss position by position, so that a score can be told token by token.

    `values[target](losses(model, batch), batch)` must equal `Task.loss` and the targets of these names.
    """

    losses: Callable[[nn.Module, Batch], Tensor]
    """`(model, batch) -> losses_NT`: the loss at each position of an item, zero where nothing is predicted."""
    values: Mapping[str, Callable[[Tensor, Batch], Tensor]]
    """`"loss"` or a target's name -> `(losses_NT, batch) -> values_N`: the value as a function of the positions' losses."""
    texts: Callable[[Item], Sequence[str]]
    """`(item) -> texts`: the text of each position. Joined they are the item's text."""

    def __post_init__(self) -> None:
        declarations.require_function("Positions.losses", self.losses, "(model, batch) -> losses_NT")
        declarations.require("Positions.values", self.values, Mapping, "a mapping of targets to functions")
        for name, value in self.values.items():
            declarations.require("a name in Positions.values", name, str, "text")
            declarations.require_function(
                f"Positions.values['{name}']", value, "(losses_NT, batch) -> values_N"
            )
        declarations.require_function("Positions.texts", self.texts, "(item) -> texts")


@dataclass(frozen=True, kw_only=True)
class NoiseDraws:
    """The random draws that a loss is a mean over, such as a diffusion model's timesteps and noise."""

    replicate: Callable[[Item, int], Item]
    """`(item, number) -> item`: the same item with another independent set of draws. Number 0 has the training draws."""
    bands: Sequence[str] = ()
    """Targets that are minus the loss on a part of the draws, early timesteps first. Their mean is minus the loss."""

    def __post_init__(self) -> None:
        declarations.require_function("NoiseDraws.replicate", self.replicate, "(item, number) -> item")
        declarations.require_list("NoiseDraws.bands", self.bands, str, "names of targets")


@dataclass(frozen=True, kw_only=True)
class Patches:
    """A grid over an image, so that a score can be told patch by patch.

    The places of a layer's output lie in the image's order, row by row: convolutions, and transformers over patches.
    """

    height: int
    """Rows of an image's pixels."""
    width: int
    """Columns of an image's pixels."""
    rows: int = 8
    """Rows of the grid."""
    columns: int = 8
    """Columns of the grid."""

    def __post_init__(self) -> None:
        for name in ("height", "width", "rows", "columns"):
            declarations.require_count(f"Patches.{name}", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class LayerSelection:
    """A selection of modules whose parameters are attributed. The default: every parameter that training could change."""

    include: Sequence[str] = ("*",)
    """Module names or `fnmatch` patterns, as in `model.named_modules()`: `"transformer.h.*.mlp.*"`."""
    exclude: Sequence[str] = ()
    """Names or patterns that are left out, after `include`."""
    frozen: bool = False
    """Attribute parameters with `requires_grad=False` too, though training does not change them."""

    def __post_init__(self) -> None:
        for name, patterns in (("include", self.include), ("exclude", self.exclude)):
            declarations.require_list(f"LayerSelection.{name}", patterns, str, "module names or patterns")

    def selects(self, module_name: str) -> bool:
        """Tell whether the module of this name is attributed."""
        return any(fnmatchcase(module_name, p) for p in self.include) and not any(
            fnmatchcase(module_name, p) for p in self.exclude
        )


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A query completed by the model's own prediction."""

    item: Item
    """The query with the predicted label or completion in it: this is what is attributed."""
    output: Mapping[str, JsonValue]
    """Output for people: `{"label": "7", "probability": 0.98}`, `{"completion": "..."}`."""


@dataclass(frozen=True, kw_only=True)
class ParsedQuery:
    """A payload turned into an item of the data set's kind."""

    item: Item
    complete: bool
    """False where the label or completion is missing and `QueryInterface.predict` must supply it."""


@dataclass(frozen=True, kw_only=True)
class QueryInterface:
    """The form of a query, and its way to an item that `collate` understands."""

    payload: type[BaseModel]
    """Validates the payload and documents it in the OpenAPI page. Forbid extra fields; bound every length."""
    parse: Callable[[Any], ParsedQuery]
    """Turns a validated `payload` into an item. Raises `InvalidQuery` for what the types cannot say."""
    predict: Callable[[nn.Module, Item], Prediction] | None = None
    """Completes an incomplete item: argmax class, or seeded generation. Must be deterministic."""
    predicted_target: str | None = None
    """Target of a query that `predict` completed, where the query names none. None takes the recipe's."""
    train: Callable[[Any], Sequence[Item]] | None = None
    """Turns a validated `payload` into the items that training on it would have made: the chunks of a text, for
    `byline score-candidates`. None takes `parse`, whose item must be complete."""
    document: Callable[[Any], Sequence[Item]] | None = None
    """Turns a `byline.tasks.Document` into the items that training on it would have made. `byline score-candidates` then
    reads rows of data as `byline build --data` does. None reads rows as payloads."""

    def __post_init__(self) -> None:
        if not (isinstance(self.payload, type) and issubclass(self.payload, BaseModel)):
            raise InvalidTask(
                f"expected QueryInterface.payload to be a class of pydantic's (class Payload(BaseModel)), got "
                f"{declarations.kind(self.payload)}"
            )
        declarations.require_function("QueryInterface.parse", self.parse, "(payload) -> ParsedQuery")
        form = "(model, item) -> Prediction"
        declarations.require_function("QueryInterface.predict", self.predict, form, optional=True)
        declarations.require_function("QueryInterface.train", self.train, "(payload) -> items", optional=True)
        named = "QueryInterface.document"
        declarations.require_function(named, self.document, "(document) -> items", optional=True)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Everything that Byline must know about a model and its training set.

    Sign convention: `loss` is lowered by training; every entry of `targets` is a quantity that a positive
    score *raises* (a log-likelihood, a margin, a logit). The target `"loss"` always exists: a positive
    score lowered the query's loss.
    """

    name: str
    """A word for people and for the default index name: `^[a-z0-9][a-z0-9._-]{0,63}$`."""
    model: Callable[[], nn.Module]
    """Builds the model with any weights; called once for each checkpoint and collector."""
    checkpoints: Sequence[Checkpoint]
    """Trained weights, at least one. Several make an ensemble: better scores, and a standard error for each."""
    train_set: TrainSet
    """The model's training set, in a fixed order."""
    describe: Callable[[int], Example]
    """The metadata of training point i. Must be cheap: it is called once for each row."""
    loss: Objective
    """Per-example training loss, reduced over positions but not over the batch."""
    collate: Callable[[list[Item]], Batch] = default_collate
    """Makes a batch of a list of items."""
    targets: Mapping[str, Objective] = field(default_factory=dict)
    """Named functions of the model's output that a query can be attributed by. A positive score raises them."""
    layers: LayerSelection = LayerSelection()
    """Attributed modules."""
    query: QueryInterface | None = None
    """Parser of queries. Without it an index answers gradients and features only."""
    outputs: Outputs | None = None
    """The model's predictive distribution, for GGN products and for curvature from sampled or exact labels."""
    positions: Positions | None = None
    """The loss of each token, for questions with `tokens`."""
    patches: Patches | None = None
    """The grid over an image, for questions with `tokens`."""
    noise: NoiseDraws | None = None
    """The random draws in the loss, for questions with `replicates`."""
    representation: Callable[[nn.Module, Batch], Tensor] | None = None
    """`(model, batch) -> h_ND`: for groups by k-means and for the similarity baselines."""
    text: Callable[[Item], str] | None = None
    """Text of an item, for the BM25 baseline."""
    label: Callable[[Item], str] | None = None
    """An item's class, named as `Example.label` names the training points': for `knn_shapley`."""
    image: Callable[[Item], Tensor] | None = None
    """An item's image, [C, H, W] or [H, W], for the baseline `patches`."""
    train: Callable[[Sequence[int], int], Mapping[str, Tensor]] | None = None
    """`(rows, seed) -> state dict` of the model trained on these rows of the training set: for `byline evaluate`."""
    evaluation_set: TrainSet | None = None
    """Items that the model was not trained on, of the data set's kind: queries of `byline evaluate`, and
    what `curvature.evaluation` mixes into a Fisher matrix."""
    mislabeled: Callable[[Sequence[int], int], "Task"] | None = None
    """`(rows, seed) -> Task` like this one with wrong labels at these rows: for the metric `mislabel`."""

    def __post_init__(self) -> None:
        declarations.require("Task.name", self.name, str, "text")
        if not _NAME.fullmatch(self.name):
            raise InvalidTask(
                f"expected Task.name to be 1 to 64 lower-case letters, digits, '.', '_' and '-', a letter or "
                f"digit first, got {self.name!r:.80}"
            )
        declarations.require_factory("Task.model", self.model)
        declarations.require_list("Task.checkpoints", self.checkpoints, Checkpoint, "Checkpoints")
        if not self.checkpoints:
            raise InvalidTask("expected at least one Checkpoint, got none: pass the trained weights")
        declarations.require_items("Task.train_set", self.train_set)
        if self.evaluation_set is not None:
            declarations.require_items("Task.evaluation_set", self.evaluation_set)
        if len(self.train_set) == 0:
            raise InvalidTask("expected a training set with at least one item, got an empty one")
        self._check_functions()
        declarations.require("Task.layers", self.layers, LayerSelection, "a LayerSelection")
        declarations.require(
            "Task.query", self.query, (QueryInterface, type(None)), "a QueryInterface or None"
        )
        self._check_targets()
        declarations.require("Task.outputs", self.outputs, (Outputs, type(None)), "Outputs or None")
        declarations.require("Task.noise", self.noise, (NoiseDraws, type(None)), "NoiseDraws or None")
        declarations.require("Task.patches", self.patches, (Patches, type(None)), "Patches or None")
        declarations.require("Task.positions", self.positions, (Positions, type(None)), "Positions or None")

    def _check_functions(self) -> None:
        declarations.require_function("Task.describe", self.describe, "(row) -> Example")
        declarations.require_function("Task.loss", self.loss, "(model, batch) -> losses_N")
        declarations.require_function("Task.collate", self.collate, "(items) -> batch")
        for name, form in (
            ("representation", "(model, batch) -> h_ND"),
            ("text", "(item) -> str"),
            ("label", "(item) -> str"),
            ("image", "(item) -> tensor"),
            ("train", "(rows, seed) -> state dict"),
            ("mislabeled", "(rows, seed) -> Task"),
        ):
            declarations.require_function(f"Task.{name}", getattr(self, name), form, optional=True)

    def _check_targets(self) -> None:
        declarations.require("Task.targets", self.targets, Mapping, "a mapping of names to functions")
        for name, target in self.targets.items():
            declarations.require("a name in Task.targets", name, str, "text")
            declarations.require_function(f"Task.targets['{name}']", target, "(model, batch) -> values_N")
        if "loss" in self.targets:
            raise InvalidTask("the target name 'loss' is taken by Task.loss: choose another name")
        unknown = [name for name in (self.noise.bands if self.noise else ()) if name not in self.targets]
        if unknown:
            raise InvalidTask(
                f"expected NoiseDraws.bands to name targets of the Task, got {len(unknown)} other names: declare them in "
                f"Task.targets"
            )
        if self.query is not None and self.query.predicted_target not in {None, "loss", *self.targets}:
            raise InvalidTask(
                f"expected QueryInterface.predicted_target to be one of {', '.join(['loss', *sorted(self.targets)])}, got "
                f"another name"
            )

    @property
    def code(self) -> tuple[object, ...]:
        """Functions that gradients depend on, for those who ask where their sources lie."""
        functions: list[object] = [
            self.model,
            self.loss,
            self.collate,
            *self.targets.values(),
            self.train_set,
        ]
        if self.outputs is not None:
            functions += [self.outputs.compute, self.outputs.loss, self.outputs.relabel]
        if self.positions is not None:
            functions += [self.positions.losses, *self.positions.values.values()]
        return tuple(functions)

    def objective(self, target: str) -> Objective:
        """Return the function whose *decrease* a positive score means.

        Args:
            target: `"loss"` or a name in `targets`.

        Returns:
            The loss itself, or the negated target: its gradient is the signal on either side of a score.

        Raises:
            InvalidTask: There is no target of that name.
        """
        if target == "loss":
            return self.loss
        if target not in self.targets:
            known = ", ".join(["loss", *sorted(self.targets)])
            raise InvalidTask(f"expected one of the targets {known}, got {len(target)} other characters")
        raised = self.targets[target]
        return lambda model, batch: -raised(model, batch)
