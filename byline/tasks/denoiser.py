"""Declare a diffusion model: which training images made it denoise, and so generate, as it does.

Letters: N images, D draws of a timestep and noise for each, B bands of timesteps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from pydantic import Field, create_model
from torch import Tensor, nn

from byline.declarations import kind
from byline.errors import InvalidTask
from byline.models.training_points import read_items
from byline.task import Item, NoiseDraws, Objective, ParsedQuery, QueryInterface, Task
from byline.tasks.classification import class_name, require_class_positions, require_classes
from byline.tasks.labeled_inputs import TrainedModel
from byline.tasks.noise_schedule import Draws, NoiseSchedule, rounded_image
from byline.tasks.payloads import Payload, as_input, class_position, image_payload
from byline.tasks.pictures import pictured

DRAWS, BANDS = 8, 4
BAND = "denoising_"
"""Beginning of the targets of single bands of timesteps."""
MOST_REPLICATES = 1 << 20
EXAMPLE_DIGITS = 6
"""Digits of an example image's numbers: enough that it has the draws of the training image that it is."""
Batch = Mapping[str, Tensor]
Call = Callable[[nn.Module, Tensor, Tensor, Tensor], Any]
"""`(model, noisy images [N, ...], timesteps [N], class positions [N]) -> prediction`."""


def call_without_label(model: nn.Module, noisy_N: Tensor, steps_N: Tensor, labels_N: Tensor) -> Any:
    """Call a model as `model(noisy, timesteps)`."""
    del labels_N
    return model(noisy_N, steps_N)


def call_with_label(model: nn.Module, noisy_N: Tensor, steps_N: Tensor, labels_N: Tensor) -> Any:
    """Call a model as `model(noisy, timesteps, labels)`, as diffusers' `UNet2DModel` takes class labels."""
    return model(noisy_N, steps_N, labels_N)


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Options of a diffusion model's loss."""

    schedule: NoiseSchedule
    """Noise of every timestep, and what the model predicts."""
    draws: int = DRAWS
    """Number D of timesteps and noises that an image's loss is a mean over. Each costs a pass."""
    bands: int = BANDS
    """Number B of equal parts of the schedule that a query can be attributed in. It divides `draws`."""
    seed: int = 0
    """Seed of all draws."""
    call: Call | None = None
    """Calls the model. None takes `model(noisy, timesteps)`, with the label as a third argument where classes are named."""

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, NoiseSchedule):
            raise InvalidTask(f"expected Denoising.schedule to be a NoiseSchedule, got {kind(self.schedule)}")
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (self.draws, self.bands))
        if not whole or not 1 <= self.bands <= self.draws <= self.schedule.steps or self.draws % self.bands:
            raise InvalidTask(
                f"expected whole numbers with 1 <= bands <= draws <= {self.schedule.steps} timesteps, and draws that bands "
                f"divides, got draws = {self.draws!r:.20} and bands = {self.bands!r:.20}"
            )

    @property
    def band_names(self) -> list[str]:
        """Names of the bands' targets: `denoising_0_249` is minus the loss at timesteps 0 to 249."""
        ends = [band * self.schedule.steps // self.bands for band in range(self.bands + 1)]
        return [f"{BAND}{first}_{end - 1}" for first, end in pairwise(ends)]


def denoiser(trained: TrainedModel, denoising: Denoising, *, classes: Sequence[str] | None = None) -> Task:
    """Declare a diffusion model of pixels or latents.

    The loss of an image is the mean squared error of the model's prediction, over all its numbers and over D draws of a
    timestep and noise. The draws are hashed from the image. Queries are `{"image": pixels, "label": optional}` in the units
    of the training data.

    Args:
        trained: The model, and its training data: (image, label) pairs, with images or latents [C, H, W] or [H, W].
        denoising: The schedule, the draws and the call of the model.
        classes: Names of the labels in order, for a model that takes the label. None leaves labels out of the model's call.

    Returns:
        The Task, with these targets. `square`: the squared length of the prediction over its size, a mean over the draws
        (Zheng et al. 2024, D-TRAK). `denoising_0_249` and so on: minus the loss at these timesteps. Their mean is minus the
        loss.

    Raises:
        InvalidTask: The data or the classes do not fit.
    """
    like = trained.data.input
    if like.ndim not in {2, 3}:
        raise InvalidTask(f"expected images or latents of shape [C, H, W] or [H, W], got {list(like.shape)}")
    if classes is not None:
        require_classes(classes)
        require_class_positions(trained.data.items, len(classes))
    items, draws = (
        trained.data.items,
        Draws(steps=denoising.schedule.steps, count=denoising.draws, seed=denoising.seed),
    )
    call = denoising.call or (call_without_label if classes is None else call_with_label)
    errors = partial(squared_errors, call)

    def parse(query: Any) -> ParsedQuery:
        image = as_input(query.image, like, "image", flat=True)
        if query.label is None:
            return ParsedQuery(item=(image, torch.tensor(0), query.replicate), complete=classes is None)
        label = 0 if classes is None else class_position(query.label, classes)
        return ParsedQuery(item=(image, torch.tensor(label), query.replicate), complete=True)

    def named(row: int) -> str:
        (item,) = read_items(items, [row])
        return str(int(item[1])) if classes is None else class_name(item[1], classes)

    return Task(
        name=trained.name,
        model=trained.model,
        checkpoints=trained.checkpoints,
        train_set=items,
        describe=pictured(trained.data.describer(named), items),
        collate=partial(collate, draws, denoising.schedule),
        loss=lambda model, batch: errors(model, batch).mean(dim=1),
        targets={"square": partial(square, call), **_bands(errors, denoising)},
        layers=trained.layers,
        query=QueryInterface(payload=denoiser_payload(like), parse=parse),
        representation=lambda _model, batch: batch["image"].flatten(1),
        image=lambda item: item[0],
        noise=NoiseDraws(
            replicate=lambda item, number: (item[0], item[1], number), bands=denoising.band_names
        ),
    )


def collate(draws: Draws, schedule: NoiseSchedule, items: list[Item]) -> dict[str, Tensor]:
    """Make a batch: noisy images, timesteps, and what is to be predicted.

    Args:
        draws: Timesteps and noise of each image.
        schedule: Noise of every timestep.
        items: (image, label), or (image, label, replicate) of a query.

    Returns:
        `noisy` and `wanted` [N, D, ...], `steps` [N, D], `label` [N], `image` [N, ...].
    """
    found = [draws.of(item[0], int(item[2]) if len(item) > 2 else 0) for item in items]
    steps_ND, noise_ND = (torch.stack(parts) for parts in zip(*found, strict=True))
    image_N = torch.stack([item[0] for item in items])
    noisy_ND, wanted_ND = schedule.noisy(image_N[:, None], noise_ND, steps_ND)
    label_N = torch.tensor([int(item[1]) for item in items])
    return {"noisy": noisy_ND, "wanted": wanted_ND, "steps": steps_ND, "label": label_N, "image": image_N}


def predictions(call: Call, model: nn.Module, batch: Batch) -> list[Tensor]:
    """Call the model once for each draw: D predictions [N, ...]."""
    noisy_ND, steps_ND = batch["noisy"], batch["steps"]
    return [
        predicted(call(model, noisy_ND[:, draw], steps_ND[:, draw], batch["label"]), noisy_ND[:, draw])
        for draw in range(steps_ND.shape[1])
    ]


def squared_errors(call: Call, model: nn.Module, batch: Batch) -> Tensor:
    """Compute the mean squared error of every draw, [N, D]."""
    found = [
        (prediction - wanted).square().flatten(1).mean(dim=1)
        for prediction, wanted in zip(
            predictions(call, model, batch), batch["wanted"].unbind(dim=1), strict=True
        )
    ]
    return torch.stack(found, dim=1)


def square(call: Call, model: nn.Module, batch: Batch) -> Tensor:
    """Compute the mean square of the prediction, a mean over the draws, [N]."""
    found = [each.square().flatten(1).mean(dim=1) for each in predictions(call, model, batch)]
    return torch.stack(found, dim=1).mean(dim=1)


def predicted(output: Any, noisy_N: Tensor) -> Tensor:
    """Take the prediction out of what a model returns: a tensor, an output with `sample`, or a tuple that begins with it.

    Raises:
        InvalidTask: There is none, or it has another shape than the noisy images.
    """
    first = output[0] if isinstance(output, tuple | list) and len(output) else output
    found = getattr(output, "sample", first)
    if not isinstance(found, Tensor) or found.shape != noisy_N.shape:
        got = list(found.shape) if isinstance(found, Tensor) else kind(output)
        raise InvalidTask(
            f"expected a model that predicts a tensor of its input's shape {list(noisy_N.shape)}, got {got}: return the "
            f"prediction alone, or pass Denoising.call"
        )
    return found


def denoiser_payload(like: Tensor) -> type[Payload]:
    """Make `{"image": pixels, "label": optional, "replicate": 0}`.

    Args:
        like: An image of the training set: gives the shape and the example.
    """
    replicate = Field(
        default=0,
        ge=0,
        lt=MOST_REPLICATES,
        description="Number of an independent set of timesteps and noise. 0 has the draws of training images.",
    )
    return create_model(
        "DenoiserQuery",
        __base__=image_payload(rounded_image(like), digits=EXAMPLE_DIGITS),
        replicate=(int, replicate),
    )


def _bands(errors: Callable[[nn.Module, Batch], Tensor], denoising: Denoising) -> dict[str, Objective]:
    width = denoising.draws // denoising.bands

    def fit(first: int, model: nn.Module, batch: Batch) -> Tensor:
        part = {name: batch[name][:, first : first + width] for name in ("noisy", "wanted", "steps")}
        return -errors(model, {**batch, **part}).mean(dim=1)

    return {name: partial(fit, band * width) for band, name in enumerate(denoising.band_names)}
