"""A pilot's scores are those of an index of the same rows; what the command says of them."""

import numpy as np
import pytest

from byline.errors import InvalidRecipe
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.metrics.variance import Components
from byline.search.searcher import Searcher
from byline_indexer.build.build import build
from byline_indexer.cli.ensemble_table import advice
from byline_indexer.pilot import run_pilot
from tests.indexer.conftest import Config, TaskFile


def test_scores_are_those_of_an_index(config: Config, task_file: TaskFile) -> None:
    path = task_file()
    text = path.read_text().replace(
        "        loss=per_example_loss,",
        "        loss=per_example_loss, evaluation_set=[(inputs[4], 1), (inputs[9], 2)],",
    )
    path.write_text(text)
    chosen = config("trak", task=path, storage={"dtype": "fp32"}, changes={"members": {"masks": 4}})
    pilot = run_pilot(chosen, rows=90, queries=5)
    assert pilot.scores_IDQR.shape == (2, 4, 2, 90)
    assert pilot.within == "masks"
    assert pilot.held_out
    index, task = AttributionIndex.open(build(chosen).path), load_task(chosen.task).task
    states = {m.name: index.states(m.name) for m in index.members}
    features = Featurizer.open(task, index.recipe, states).query(list(task.evaluation_set))
    hits = Searcher(index).search(features, 90)
    by_member_QkM = Searcher(index).member_scores(features, hits)
    for q in range(2):
        found = pilot.scores_IDQR[:, :, q].reshape(8, 90)[:, hits.rows_QK[q]].T
        np.testing.assert_allclose(found, by_member_QkM[q], rtol=1e-3, atol=1e-4)


def test_queries_are_outside_the_sample_where_there_is_no_evaluation_set(config: Config) -> None:
    pilot = run_pilot(config("grad_dot", changes={"members": {"checkpoints": [1]}}), rows=500, queries=7)
    assert pilot.scores_IDQR.shape == (1, 4, 7, 60)
    assert not pilot.held_out


def test_one_member_cannot_be_compared(config: Config, task_file: TaskFile) -> None:
    path = task_file(CHECKPOINTS=1)
    path.write_text(path.read_text().replace("nn.Dropout(0.25)", "nn.Dropout(0.0)"))
    with pytest.raises(InvalidRecipe, match="mask_rate"):
        run_pilot(config("grad_dot", task=path))


def test_no_more_checkpoints_than_there_are_unless_they_have_a_price() -> None:
    parts = Components(s2=1.0, rho_within=0.6, rho_between=0.3)
    assert {c.checkpoints for c in advice(parts, 2, 10).choices} == {1, 2}
    assert {c.checkpoints for c in advice(parts, 2, 10, 5.0).choices} == set(range(1, 11))
    unknown = Components(s2=1.0, rho_within=0.6, rho_between=None)
    assert {c.checkpoints for c in advice(unknown, 1, 10, 5.0).choices} == {1}
