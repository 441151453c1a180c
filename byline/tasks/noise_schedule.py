"""The noise of a diffusion model: how much of it a timestep has, and which of it an image gets.

A training loss of a diffusion model is an expectation over timesteps and noise. Here an image has a fixed number of draws
of both, hashed from its own content, so that it has the same loss in every batch, process and machine, and on both sides
of a score. Timesteps are stratified: each draw has its own part of the schedule.

Letters: T timesteps, N images, D draws of each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from byline.declarations import kind
from byline.digests import content_digest
from byline.errors import InvalidTask
from byline.randomness import random_uniform, stream_key

Prediction = Literal["epsilon", "v", "sample"]
"""Output of the model: the noise, the velocity of Salimans & Ho 2022, or the image."""
_NAMES: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "v": "v", "sample": "sample"}


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """A variance-preserving schedule: x_t = sqrt(a_t) x + sqrt(1 - a_t) noise."""

    alphas_cumprod: Sequence[float]
    """a_t of every timestep, falling from about 1 to about 0. Exactly 0 with prediction `v` or `sample` alone."""
    prediction: Prediction = "epsilon"
    """Output of the model."""

    def __post_init__(self) -> None:
        values = torch.as_tensor(self.alphas_cumprod, dtype=torch.float64)
        if values.ndim != 1 or len(values) < 2:
            raise InvalidTask(
                f"expected alphas_cumprod to be at least 2 numbers, one for each timestep, got shape {list(values.shape)}"
            )
        inside = (values >= 0) & (values <= 1)
        if not bool(inside.all()) or bool((values.diff() > 0).any()):
            raise InvalidTask(
                "expected alphas_cumprod that fall and lie between 0 and 1, got others: pass the cumulative products of "
                "1 - beta"
            )
        if self.prediction == "epsilon" and values[-1] == 0:
            raise InvalidTask(
                "expected alphas_cumprod above 0 for prediction 'epsilon', got a last one of 0: there the input is noise. "
                "Pass prediction='v' or 'sample', as the model was trained"
            )
        if self.prediction not in {"epsilon", "v", "sample"}:
            raise InvalidTask("expected prediction to be 'epsilon', 'v' or 'sample', got something else")
        object.__setattr__(self, "alphas_cumprod", tuple(values.tolist()))

    @classmethod
    def linear(
        cls, steps: int = 1000, first: float = 1e-4, last: float = 2e-2, prediction: Prediction = "epsilon"
    ) -> Self:
        """Make the schedule of Ho et al. 2020: the variances beta rise linearly.

        Args:
            steps: Timesteps T.
            first: Beta of the first timestep.
            last: Beta of the last one.
            prediction: Output of the model.
        """
        betas = torch.linspace(first, last, steps, dtype=torch.float64)
        return cls(alphas_cumprod=(1 - betas).cumprod(0).tolist(), prediction=prediction)

    @classmethod
    def cosine(cls, steps: int = 1000, prediction: Prediction = "epsilon") -> Self:
        """Make the schedule of Nichol & Dhariwal 2021.

        Args:
            steps: Timesteps T.
            prediction: Output of the model.
        """
        places = torch.arange(steps + 1, dtype=torch.float64) / steps
        curve = ((places + 0.008) / 1.008 * math.pi / 2).cos().square()
        betas = (1 - curve[1:] / curve[:-1]).clamp(max=0.999)
        return cls(alphas_cumprod=(1 - betas).cumprod(0).tolist(), prediction=prediction)

    @classmethod
    def of(cls, scheduler: Any) -> Self:
        """Take the schedule of a scheduler of diffusers: its `alphas_cumprod` and `config.prediction_type`.

        Args:
            scheduler: `DDPMScheduler`, or another with these fields.

        Raises:
            InvalidTask: It lacks a field, or predicts something else.
        """
        values = getattr(scheduler, "alphas_cumprod", None)
        if values is None:
            raise InvalidTask(
                f"expected a scheduler with alphas_cumprod, got {kind(scheduler)}: pass NoiseSchedule(alphas_cumprod=...)"
            )
        named = getattr(getattr(scheduler, "config", None), "prediction_type", "epsilon")
        if named not in _NAMES:
            raise InvalidTask(
                f"expected a scheduler whose prediction_type is one of {', '.join(_NAMES)}, got another"
            )
        return cls(alphas_cumprod=torch.as_tensor(values).tolist(), prediction=_NAMES[named])

    @property
    def steps(self) -> int:
        """Number T of timesteps."""
        return len(self.alphas_cumprod)

    def noisy(self, images_ND: Tensor, noise_ND: Tensor, steps_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Add noise to images.

        Args:
            images_ND: Images [N, 1, ...].
            noise_ND: Normal noise [N, D, ...].
            steps_ND: Timesteps, int64.

        Returns:
            The noisy images [N, D, ...], and what the model should predict of them.
        """
        kept_T = torch.tensor(self.alphas_cumprod, dtype=torch.float64)
        shape = (*steps_ND.shape, *[1] * (noise_ND.ndim - 2))
        signal = kept_T[steps_ND].sqrt().to(noise_ND.dtype).reshape(shape)
        spread = (1 - kept_T[steps_ND]).sqrt().to(noise_ND.dtype).reshape(shape)
        noisy = signal * images_ND + spread * noise_ND
        match self.prediction:
            case "epsilon":
                return noisy, noise_ND
            case "v":
                return noisy, signal * noise_ND - spread * images_ND
            case "sample":
                return noisy, images_ND.expand_as(noise_ND)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """A plan of the timesteps and the noise that each image is scored with."""

    steps: int
    """Number T of timesteps."""
    count: int
    """Number D of draws of each image."""
    seed: int = 0

    def of(self, image: Tensor, replicate: int = 0) -> tuple[Tensor, Tensor]:
        """Draw timesteps and noise for an image.

        Args:
            image: Its content decides the draws, each number rounded to 11 binary digits.
            replicate: Number of an independent set of draws.

        Returns:
            Timesteps int64 [D], the j-th from the j-th of D equal parts of the schedule, and noise [D, ...].
        """
        key = stream_key(self.seed, "denoiser", content_digest(rounded_image(image)).hex(), replicate)
        within_D = random_uniform(key, torch.arange(self.count))
        steps_D = (
            ((torch.arange(self.count) + within_D) * self.steps / self.count).long().clamp(max=self.steps - 1)
        )
        numbers = self.count * image.numel()
        counters = self.count + torch.arange(2 * numbers)
        radius, angle = random_uniform(key, counters).view(2, numbers)
        normal = (-2 * torch.log1p(-radius)).sqrt() * (2 * math.pi * angle).cos()
        return steps_D, normal.to(image.dtype).reshape(self.count, *image.shape)


def rounded_image(image: Tensor) -> Tensor:
    """Round to the digits of float16, in float32: another precision or another order of sums changes no draw."""
    digits, exponent = torch.frexp(image.double() + 0.0)  # of minus zero, zero
    return torch.ldexp((digits * 2048).round(), exponent - 11).float()
