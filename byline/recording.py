"""A recorder for the user's own training loop, for recipe `dvemb`.

    with TrainingRecorder(task, recipe("dvemb"), model, "run-0") as recorder:
        for rows in batches:                     # row numbers of Task.train_set
            loss(model, rows).mean().backward()
            recorder.step(rows, learning_rate)   # before the optimizer's step
            optimizer.step()

A recipe with a scale, `recipe("dvemb", scale={"kind": "second_moment", "power": 0.25})`, is for AdamW. Then

            recorder.step(rows, learning_rate, optimizer)

A step takes the gradients of the batch's examples at the model's current weights, on a copy in evaluation mode: of the
whole network where training uses dropout, and with the running statistics where it uses BatchNorm. The user's model,
its gradients and every random generator are left as they were, so the run is bit for bit the one without a recorder.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from byline.errors import InvalidInput, InvalidTask
from byline.features.featurizer import MemberFeaturizer, Side
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.tensors import dense_gradients
from byline.index.recordings import RecordingHead, RecordingWriter
from byline.models.adam_step import coming_step
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import make_collector
from byline.models.training_points import read_items
from byline.paths import local_path
from byline.recipes import Recipe
from byline.scale.moments import SECOND, block_moments
from byline.task import Task
from byline.types import State

LEAST_COSINE = 0.5
"""Of the first step's gradients and its rows' mean. Dropout stays above it, other rows stay below."""


@dataclass(frozen=True, kw_only=True)
class RecorderOptions:
    """Options of a recording; none of them changes a score."""

    compute: Compute = field(default_factory=Compute)
    """Device and precision of the gradients. The model itself may live elsewhere."""
    batch_rows: int = 64
    """Examples that are differentiated together: bounds the memory of large batches."""
    span_bytes: int = 1 << 25
    """Projected gradients that are held before they are written: what a killed run loses, and the memory of a build."""


class TrainingRecorder:
    """Keeps every example's projected gradient at the step that used it.

    The loss that is trained on must be the mean of `Task.loss` over the batch. The optimizer is plain SGD: with momentum m,
    pass learning rate / (1 - m), which is an approximation, and weight decay is not modelled. Or it is AdamW, with a scale
    in the recipe: its weight decay is modelled, its second moments are taken as they were, its momentum as spent at once.

    Args:
        task: The Task that the index will be built of. Its checkpoint need not be there yet.
        recipe: The index's: a row with curvature 'trajectory', such as `recipe("dvemb")`.
        model: The network that is being trained, of the architecture that `Task.model` makes.
        folder: A new or empty folder. `Checkpoint.recording` names it afterwards.
        options: Device, memory.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        model: nn.Module,
        folder: Path | str,
        options: RecorderOptions | None = None,
    ) -> None:
        self._task, self._recipe, self._model = task, recipe, model
        self._folder = local_path(folder, "the recording's folder")
        self._options = options or RecorderOptions()
        self._run: _Run | None = None

    def __enter__(self) -> Self:
        """Check that the model's gradients can be taken, and begin the recording.

        Returns:
            The recorder.

        Raises:
            InvalidInput: The folder is not empty, or the recipe needs no recorded run.
            InvalidTask: The model is not the Task's.
            UnsupportedModel: Its gradients cannot be taken example by example.
        """
        if not self._recipe.recorded:
            raise InvalidInput(
                f"expected a recipe of a recorded run, such as recipe('dvemb'), got '{self._recipe.name}'"
            )
        with preserved_randomness():
            self._run = self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the recording. A run that raised stays incomplete, and is refused by a build."""
        run, self._run = self._run, None
        if kind is None and run is not None:
            run.writer.close()

    def step(
        self,
        rows: Sequence[int] | Tensor,
        learning_rate: float,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        """Record one step, before the optimizer changes the weights.

        Args:
            rows: Rows of `Task.train_set` in the batch. One that is in it twice counts twice. With accumulated
                gradients, the rows of all parts.
            learning_rate: Learning rate of this step.
            optimizer: The AdamW that takes the step, after `backward`, where the recipe has a scale.

        Raises:
            InvalidInput: A row is not of the training set, the learning rate is no positive number, or the optimizer is
                missing, or not one that the recipe is for.
            NonFiniteGradient: A gradient is NaN or infinite.
        """
        run, step = self._begun(), self._step(rows, learning_rate, optimizer)
        run.writer.append(step.rows_N, step.phi_NK, float(learning_rate), step.decay)

    def step_as_taken(
        self,
        rows: Sequence[int] | Tensor,
        learning_rate: float,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> float:
        """Record one step that follows a multiple of the mean of `Task.loss`, as clipping or another divisor makes it.

        The multiple is measured on the gradients that the model's parameters hold.

        Args:
            rows: As for `step`.
            learning_rate: As for `step`, before any factor.
            optimizer: As for `step`.

        Returns:
            Cosine of the held gradients and the rows' mean, in the projection: 1 where the multiple is exact.

        Raises:
            InvalidInput: As for `step`, or the held gradients of the first step do not point the way of the rows' mean.
        """
        run, step = self._begun(), self._step(rows, learning_rate, optimizer)
        held_K, mean_K = self._held(run, step.featurizer).double(), step.phi_NK.double().mean(dim=0)
        cosine = float(torch.nn.functional.cosine_similarity(held_K, mean_K, dim=0, eps=1e-30))
        if not run.writer.steps and cosine < LEAST_COSINE:  # later, a run of hours is not ended
            raise InvalidInput(
                f"expected gradients of the mean of Task.loss over the step's rows, got others (cosine {cosine:.2f}): train "
                f"on Task.train_set in its order, with Task.collate and Task.loss, and call it after backward"
            )
        multiple = max(0.0, float(held_K @ mean_K / (mean_K @ mean_K).clamp_min(1e-30)))
        run.writer.append(step.rows_N, step.phi_NK, float(learning_rate) * multiple, step.decay)
        return cosine

    def _begun(self) -> "_Run":
        if self._run is None:
            raise InvalidInput("expected recorder.step inside the recorder's `with` block, got it outside")
        return self._run

    def _step(
        self, rows: Sequence[int] | Tensor, learning_rate: float, optimizer: torch.optim.Optimizer | None
    ) -> "_Step":
        """Project the gradients of a step's rows."""
        run = self._begun()
        rows_N = require_rows(rows, len(self._task.train_set))
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise InvalidInput(f"expected a learning rate above zero, got {learning_rate}")
        with preserved_randomness(), torch.no_grad():
            featurizer, decay = self._scaled(run, optimizer)
            self._take_weights(run.member.model)
            parts = torch.split(rows_N, self._options.batch_rows)
            phi_NK = torch.cat([self._projected(run.member, featurizer, part) for part in parts])
        return _Step(featurizer, rows_N, phi_NK, decay)

    def _held(self, run: "_Run", featurizer: MemberFeaturizer) -> Tensor:
        """Project the gradients that the model's parameters hold."""
        parameters, device = dict(self._model.named_parameters()), self._options.compute.device
        held = {
            name: torch.zeros_like(p) if p.grad is None else p.grad.detach().float()
            for block in run.member.blocks
            for name in block.parameters
            for p in [parameters[name]]
        }
        gradients = dense_gradients(run.member.blocks, {name: t.to(device) for name, t in held.items()})
        with torch.no_grad():
            return featurizer.project(gradients, Side.TRAIN).float().cpu()[0]

    def _scaled(self, run: "_Run", optimizer: torch.optim.Optimizer | None) -> tuple[MemberFeaturizer, float]:
        """Scale gradients as the coming step does; the second number is the share of the weights that it decays."""
        scale, blocks = self._recipe.scale, run.member.blocks
        if not scale.uses_moments and optimizer is not None:
            raise InvalidInput(
                "expected no optimizer, since the recipe has no scale and records plain SGD, got one: for AdamW take "
                "recipe('dvemb', scale={'kind': 'second_moment', 'power': 0.25})"
            )
        if not scale.uses_moments:
            return run.featurizer, 0.0
        if optimizer is None:
            raise InvalidInput(
                "expected recorder.step(rows, learning_rate, optimizer), since the recipe has a scale, got no optimizer: "
                "pass the AdamW, or record plain SGD with recipe('dvemb')"
            )
        step = coming_step(optimizer, self._model, blocks)
        second = {name: tensor.to(self._options.compute.device) for name, tensor in step.second.items()}
        given = block_moments(blocks, second, (SECOND,))
        state: State = {}
        for statistic in scale.statistics(blocks, given):
            state |= statistic.finish({}, 0, state)
        return run.featurizer.rescaled(state), step.decay

    def _begin(self) -> "_Run":
        compute = self._options.compute
        copy = self._task.model()
        self._take_weights(copy)
        member = MemberModel(
            self._task, make_collector(self._task, self._recipe, copy, compute), None, compute
        )
        featurizer = MemberFeaturizer(self._recipe, member.blocks, {})
        head = recording_head(self._recipe, member.blocks, len(self._task.train_set))
        writer = RecordingWriter(self._folder, head, self._options.span_bytes)
        writer.create()
        return _Run(member, featurizer, writer)

    def _take_weights(self, copy: nn.Module) -> None:
        try:
            copy.load_state_dict(self._model.state_dict())
        except RuntimeError as error:
            raise InvalidTask(
                "expected the model that is trained to have the parameters of Task.model(), got others: pass the module "
                f"itself, without wrappers ({str(error).splitlines()[-1].strip()})"
            ) from error

    def _projected(self, member: MemberModel, featurizer: MemberFeaturizer, rows_N: Tensor) -> Tensor:
        items = read_items(self._task.train_set, rows_N.tolist())
        gradients = member.gradients(items, self._recipe.train_signal)
        return featurizer.project(gradients, Side.TRAIN).float().cpu()


def recording_head(recipe: Recipe, blocks: Sequence[Block], rows: int) -> RecordingHead:
    """Make the head of a recording.

    Args:
        recipe: Recipe of a recorded run.
        blocks: Attributed parameter blocks.
        rows: Size of the training set.
    """
    return RecordingHead(
        projection=recipe.projection.model_dump(mode="json"),
        scale=recipe.scale.model_dump(mode="json"),
        layers=recipe.layers,
        train_signal=recipe.train_signal,
        blocks=tuple(blocks),
        width=sum(recipe.projection.projector(blocks, {}).widths.values()),
        rows=rows,
    )


@dataclass(frozen=True)
class _Step:
    """Projected gradients of one step."""

    featurizer: MemberFeaturizer
    rows_N: Tensor
    phi_NK: Tensor
    decay: float


@dataclass(frozen=True)
class _Run:
    """State of a recorder inside its `with` block."""

    member: MemberModel
    featurizer: MemberFeaturizer
    writer: RecordingWriter


def require_rows(rows: Sequence[int] | Tensor, count: int) -> Tensor:
    """Take the row numbers of a batch.

    Args:
        rows: Integers.
        count: Size of the training set.

    Returns:
        int64 [N], on the CPU.

    Raises:
        InvalidInput: They are no row numbers of the training set.
    """
    found = torch.as_tensor(rows).detach().cpu()
    whole = found.dim() == 1 and len(found) > 0 and not (found.is_floating_point() or found.is_complex())
    if not whole or found.dtype == torch.bool:
        raise InvalidInput(
            f"expected the rows of a batch as a non-empty list of integers, got shape {tuple(found.shape)} of {found.dtype}"
        )
    rows_N = found.to(torch.int64, copy=True)
    if int(rows_N.min()) < 0 or int(rows_N.max()) >= count:
        raise InvalidInput(f"expected rows from 0 to {count - 1} of Task.train_set, got others")
    return rows_N


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Give every global generator back as it was: models and data sets draw from them."""
    plain, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the user's, not ours
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(of_numpy)  # noqa: NPY002
