"""Schedules are those of the papers, and draws are hashed from the image, one in each part of the schedule."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from byline.errors import InvalidTask
from byline.tasks.noise_schedule import Draws, NoiseSchedule


def test_the_linear_schedule_is_the_product_of_its_betas() -> None:
    schedule = NoiseSchedule.linear(1000)
    expected = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))
    np.testing.assert_allclose(schedule.alphas_cumprod, expected, rtol=1e-10)
    assert schedule.steps == 1000


def test_the_cosine_schedule_ends_in_noise() -> None:
    values = np.array(NoiseSchedule.cosine(200).alphas_cumprod)
    assert values[0] > 0.99
    assert values[-1] < 1e-3
    middle = np.cos((100 / 200 + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    assert values[99] == pytest.approx(middle, rel=1e-6)


@pytest.mark.parametrize(
    ("named", "prediction"), [("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "sample")]
)
def test_a_scheduler_of_diffusers_is_understood(named: str, prediction: str) -> None:
    scheduler = SimpleNamespace(
        alphas_cumprod=torch.linspace(0.99, 0.01, 50), config=SimpleNamespace(prediction_type=named)
    )
    schedule = NoiseSchedule.of(scheduler)
    assert (schedule.steps, schedule.prediction) == (50, prediction)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.6], [1.5, 0.5], [0.5, 0.0], [[0.5, 0.4]]])
def test_other_numbers_are_refused(values: list) -> None:
    with pytest.raises(InvalidTask, match="alphas_cumprod"):
        NoiseSchedule(alphas_cumprod=values)


@pytest.mark.parametrize("prediction", ["v", "sample"])
def test_a_schedule_may_end_without_signal(prediction: str) -> None:
    schedule = NoiseSchedule(alphas_cumprod=[0.9, 0.4, 0.0], prediction=prediction)  # type: ignore[arg-type]
    image, noise = torch.rand(1, 1, 1, 4, 4), torch.randn(1, 1, 1, 4, 4)
    noisy, wanted = schedule.noisy(image, noise, torch.tensor([[2]]))
    torch.testing.assert_close(noisy, noise)
    torch.testing.assert_close(wanted, -image if prediction == "v" else image)


def test_a_schedule_without_signal_has_no_noise_to_predict() -> None:
    with pytest.raises(InvalidTask, match="'epsilon'"):
        NoiseSchedule(alphas_cumprod=[0.9, 0.0])


def test_other_schedulers_are_refused() -> None:
    with pytest.raises(InvalidTask, match="alphas_cumprod"):
        NoiseSchedule.of(object())
    odd = SimpleNamespace(alphas_cumprod=[0.9, 0.1], config=SimpleNamespace(prediction_type="flow"))
    with pytest.raises(InvalidTask, match="prediction_type"):
        NoiseSchedule.of(odd)
    with pytest.raises(InvalidTask, match="prediction"):
        NoiseSchedule(alphas_cumprod=[0.9, 0.1], prediction="score")  # type: ignore[arg-type]


def test_noise_is_added_and_targets_recover_the_image() -> None:
    image, noise = torch.rand(3, 1, 1, 4, 4).double(), torch.randn(3, 2, 1, 4, 4).double()
    steps = torch.tensor([[0, 9], [4, 5], [2, 3]])
    kept = torch.tensor(NoiseSchedule.linear(10).alphas_cumprod, dtype=torch.float64)[steps][
        ..., None, None, None
    ]
    for prediction in ("epsilon", "v", "sample"):
        noisy, wanted = NoiseSchedule.linear(10, prediction=prediction).noisy(image, noise, steps)
        torch.testing.assert_close(noisy, kept.sqrt() * image + (1 - kept).sqrt() * noise)
        found = {
            "epsilon": (noisy - (1 - kept).sqrt() * wanted) / kept.sqrt(),
            "v": kept.sqrt() * noisy - (1 - kept).sqrt() * wanted,
            "sample": wanted,
        }[prediction]
        torch.testing.assert_close(found, image.expand_as(found))


STEPS = [12, 422, 621, 984]
NOISE = [-0.259383, -1.521109, -0.665612, -2.046666]


def test_draws_follow_from_the_content_alone() -> None:
    draws, image = Draws(steps=100, count=8), torch.rand(1, 6, 6)
    steps, noise = draws.of(image)
    again = draws.of(image.clone())
    assert torch.equal(steps, again[0])
    assert torch.equal(noise, again[1])
    for other in (
        draws.of(image + 1e-3),
        draws.of(image, replicate=1),
        Draws(steps=100, count=8, seed=1).of(image),
    ):
        assert not torch.equal(noise, other[1])
        assert abs(np.corrcoef(noise.flatten(), other[1].flatten())[0, 1]) < 0.25


def test_rounding_and_precision_change_no_draw() -> None:
    draws, pixels = Draws(steps=100, count=4), torch.arange(256.0).view(1, 16, 16)
    image = pixels / 255
    steps, noise = draws.of(image)
    doubles = pixels.double() / 255
    for same in (
        doubles,
        image.half(),
        pixels * (1 / 255),
        doubles * (1 + 1e-9),
        image * 1e6 / 1e6,
    ):
        other_steps, other_noise = draws.of(same)
        assert torch.equal(steps, other_steps)
        torch.testing.assert_close(other_noise.double(), noise.double(), atol=2e-3, rtol=1e-3)
    assert torch.equal(draws.of(torch.zeros(1, 2, 2))[1], draws.of(-torch.zeros(1, 2, 2))[1])
    assert not torch.equal(draws.of(image * 1e-9)[1], draws.of(image * 2e-9)[1])
    assert not torch.equal(draws.of(image * 1e9)[1], draws.of(image * 2e9)[1])


def test_the_draws_of_an_image_are_the_same_everywhere() -> None:
    """Written down, so that another machine or release cannot draw otherwise."""
    steps, noise = Draws(steps=1000, count=4).of(torch.arange(4.0).view(1, 2, 2) / 4)
    assert steps.tolist() == STEPS
    np.testing.assert_allclose(noise[:, 0, 0, 0], NOISE, atol=1e-6)


@pytest.mark.parametrize(("total", "count"), [(1000, 8), (10, 10), (10, 3), (7, 1)])
def test_every_part_of_the_schedule_has_its_draw(total: int, count: int) -> None:
    draws, seen = Draws(steps=total, count=count), torch.zeros(total, dtype=torch.long)
    for number in range(400 if total == 1000 else 200):
        steps, _ = draws.of(torch.full((1, 1, 1), float(number)))
        bounds = torch.arange(count + 1) * total / count
        assert (steps >= bounds[:-1].floor()).all()
        assert (steps <= bounds[1:]).all()
        seen[steps] += 1
    assert len(seen) == total
    assert (seen > 0).float().mean() > 0.9
    assert seen[: total // 4 + 1].sum() > 0
    assert seen[-(total // 4 + 1) :].sum() > 0


def test_noise_is_normal() -> None:
    _, noise = Draws(steps=10, count=10).of(torch.zeros(1, 60, 60))
    values = noise.flatten().double()
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.02
    assert abs(float((values.abs() < 1).double().mean()) - 0.6827) < 0.01
    assert abs(float(values.pow(4).mean()) - 3) < 0.2
