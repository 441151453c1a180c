"""Scores of a diffusion model's query have a standard error over draws, and parts by timestep that add up."""

import numpy as np
import pytest

import byline
from byline.attribution.noise_draws import replicated_scores, timestep_scores
from byline.errors import InvalidQuery
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from tests.byline.tasks.test_denoiser import ROWS, declared, payload
from tests.indexer import tiny_task


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> byline.Attributor:
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    chosen = recipe("ekfac", projection={"size": 128})
    return byline.build(
        declared(classes=True), chosen, tmp_path_factory.mktemp("index"), options, progress=False
    )


def test_scores_of_the_bands_add_up(index: byline.Attributor) -> None:
    queries = [payload(3), payload(4, replicate=2)]
    whole = index.scores(queries)
    bands = [index.scores(queries, target=name) for name in ("denoising_0_49", "denoising_50_99")]
    np.testing.assert_allclose(np.mean(bands, axis=0), whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())
    assert np.abs(bands[0] - bands[1]).max() > 0.1 * np.abs(whole).max()


def test_the_standard_error_falls_with_the_draws(index: byline.Attributor) -> None:
    few, many = (replicated_scores(index, payload(5), replicates=count) for count in (4, 32))
    assert few.scores_R.shape == few.errors_R.shape == (ROWS,)
    ratio = np.median(few.errors_R / many.errors_R)
    assert 1.8 < ratio < 4.5, "the root of 32 / 4 is 2.8"
    far = np.abs(few.scores_R - many.scores_R) / np.hypot(few.errors_R, many.errors_R)
    assert np.median(far) < 2
    apart = [index.scores([payload(5, replicate=number)])[0] for number in range(4)]
    np.testing.assert_allclose(few.scores_R, np.mean(apart, axis=0), rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidQuery, match="at least 2"):
        replicated_scores(index, payload(5), replicates=1)


def test_the_parts_by_timestep_add_up(index: byline.Attributor) -> None:
    parts = timestep_scores(index, payload(6))
    assert list(parts) == ["denoising_0_49", "denoising_50_99"]
    whole = index.scores([payload(6)])[0]
    np.testing.assert_allclose(sum(parts.values()), whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


def test_other_tasks_have_no_timesteps(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tiny")
    other = byline.build(
        tiny_task.task(), recipe("grad_dot", projection={"size": 16}), folder, progress=False
    )
    with pytest.raises(InvalidQuery, match="denoiser"):
        timestep_scores(other, {"x": [0.0] * 6, "label": 1})
