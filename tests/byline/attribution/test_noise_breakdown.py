"""Answers over sets of draws equal the scores of each set asked alone: mean, standard error, and parts by timestep."""

from dataclasses import replace

import numpy as np
import pytest

import byline
from byline.attribution.noise_breakdown import refuse_without_noise
from byline.errors import InvalidQuery
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from tests.byline.tasks.test_denoiser import ROWS, declared, payload
from tests.indexer import tiny_task

BANDS = ["denoising_0_49", "denoising_50_99"]
SETS = 5
FP32 = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> byline.Attributor:
    chosen = recipe("ekfac", projection={"size": 128})
    return byline.build(declared(classes=True), chosen, tmp_path_factory.mktemp("i"), FP32, progress=False)


def alone(index: byline.Attributor, row: int, target: str) -> np.ndarray:
    """Scores [B, R] of each set of draws, asked as a query of its own, in float64."""
    queries = [payload(row, replicate=number) for number in range(SETS)]
    return index.scores(queries, target=target).astype(np.float64)


def test_each_score_is_the_mean_over_the_sets_with_its_error(index: byline.Attributor) -> None:
    answer = index.attribute(payload(4), k=ROWS, direction="both", replicates=SETS)
    scores_BR = alone(index, 4, "loss")
    mean_R, error_R = scores_BR.mean(axis=0), scores_BR.std(axis=0, ddof=1) / np.sqrt(SETS)
    largest = np.abs(mean_R).max()
    assert answer.replicates == SETS
    assert answer.proponents is not None
    assert answer.opponents is not None
    assert [point.row for point in answer.proponents] == list(np.argsort(-mean_R, kind="stable"))
    for point in [*answer.proponents, *answer.opponents]:
        assert point.noise is not None
        assert point.score == pytest.approx(mean_R[point.row], rel=1e-4, abs=1e-5 * largest)
        assert point.noise.standard_error == pytest.approx(error_R[point.row], rel=1e-3)


def test_parts_by_timestep_are_the_bands_and_add_up(index: byline.Attributor) -> None:
    answer = index.attribute(payload(7), k=6, replicates=SETS)
    by_band = {name: alone(index, 7, name) / len(BANDS) for name in BANDS}
    for point in answer.proponents or ():
        assert point.noise is not None
        assert [band.target for band in point.noise.bands] == BANDS
        assert sum(band.score for band in point.noise.bands) == pytest.approx(point.score, rel=1e-4)
        for band in point.noise.bands:
            part_B = by_band[band.target][:, point.row]
            assert band.score == pytest.approx(part_B.mean(), rel=1e-3, abs=1e-5 * abs(point.score))
            assert band.standard_error == pytest.approx(part_B.std(ddof=1) / np.sqrt(SETS), rel=1e-3)


def test_one_set_is_the_plain_answer_by_timestep(index: byline.Attributor) -> None:
    plain, told = (index.attribute(payload(2), k=3, replicates=count) for count in (0, 1))
    assert plain.replicates is None
    for before, after in zip(plain.proponents or (), told.proponents or (), strict=True):
        assert before.noise is None
        assert after.noise is not None
        assert (after.row, after.noise.standard_error) == (before.row, None)
        assert after.score == pytest.approx(before.score, rel=1e-4)
        assert len(after.noise.bands) == 2


def test_other_targets_have_an_error_and_no_parts(index: byline.Attributor) -> None:
    answer = index.attribute(payload(2), k=2, replicates=SETS, target="square")
    scores_BR = alone(index, 2, "square")
    for point in answer.proponents or ():
        assert point.noise is not None
        assert point.noise.bands == ()
        error = scores_BR[:, point.row].std(ddof=1) / np.sqrt(SETS)
        assert point.noise.standard_error == pytest.approx(error, rel=1e-3)


def test_the_passes_are_counted(index: byline.Attributor) -> None:
    from byline.attribution.request import AttributionRequest

    assert index.check(AttributionRequest(query=payload(1), replicates=8)).cost == 16
    assert index.check(AttributionRequest(query=payload(1))).cost == 1


@pytest.mark.parametrize("other", [{"tokens": True}, {"refine": 2}, {"drill_down": True}])
def test_what_does_not_go_together_is_refused(index: byline.Attributor, other: dict) -> None:
    with pytest.raises(InvalidQuery, match=f"expected replicates without {next(iter(other))}"):
        index.attribute(payload(1), replicates=2, **other)
    with pytest.raises(InvalidQuery, match="expected replicates without a baseline"):
        index.attribute(payload(1), replicates=2, baseline="representation")
    with pytest.raises(InvalidQuery, match="at most 64"):
        index.attribute(payload(1), replicates=65)


def test_indexes_without_draws_say_so_in_one_line(
    index: byline.Attributor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tiny")
    other = byline.build(
        tiny_task.task(), recipe("grad_dot", projection={"size": 16}), folder, progress=False
    )
    assert index.tells_noise
    assert not other.tells_noise
    with pytest.raises(InvalidQuery, match=r"Task\.noise") as caught:
        other.attribute({"x": [0.0] * 6, "label": 1}, replicates=2)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidQuery, match="without its Task"):
        refuse_without_noise(index.index, None)


def test_bands_are_targets_of_the_task() -> None:
    task = declared()
    assert task.noise is not None
    with pytest.raises(byline.errors.InvalidTask, match=r"NoiseDraws\.bands"):
        replace(task, noise=replace(task.noise, bands=["other"]))
