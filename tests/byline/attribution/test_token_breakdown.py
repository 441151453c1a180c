"""Answers token by token over real indexes: sums are the scores for every recipe with linear sides, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import byline
from byline.attribution import token_breakdown
from byline.attribution.request import AttributionRequest
from byline.attribution.token_breakdown import MOST_POINTS, settled
from byline.errors import InvalidQuery, StaleIndex
from byline.recipes import RECIPES, Recipe, recipe
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, image_classification
from tests.byline.features import words

QUERY = {"words": ["the", "cat", "sat", "on", "a", "mat"]}
SMALL = {
    "sjlt": {"size": 64},
    "factorised": {"size_in": 4, "size_out": 4},
    "eigenbasis": {"size": 48},
    "grass": {"kept": 200, "size": 48},
    "factorised_grass": {"kept_in": 4, "kept_out": 4, "size": 16},
    "ritz": {"size": 8},
    "identity": {},
}
LINEAR = sorted(set(RECIPES) - {"d_trak", "if_cg", "if_lissa", "dvemb", "less", "rps"})


def small(name: str) -> Recipe:
    changes = {"projection": SMALL[RECIPES[name].projection.kind]}
    if RECIPES[name].pca:
        changes["pca"] = {"size": 24, "sample": 30}
    if name == "if_exact":
        changes["curvature"] = {"labels": "sampled"}  # a sequence has too many labellings to list
    return recipe(name, **changes)


@pytest.fixture(scope="module")
def task() -> Task:
    return words.task()


@pytest.fixture(scope="module")
def opened(task, tmp_path_factory):
    chosen = recipe("ekfac", projection={"size": 48}, members={"masks": 2})
    return byline.build(task, chosen, tmp_path_factory.mktemp("words"), progress=False)


def check_sums(answer):
    for point in [*(answer.proponents or ()), *(answer.opponents or ())]:
        for parts in (point.tokens.query_parts, point.tokens.training_parts):
            assert sum(parts) == pytest.approx(point.score, rel=1e-4)
        assert len(point.tokens.query_parts) == len(answer.query_tokens)
        assert len(point.tokens.training_parts) == len(point.tokens.texts)
        assert sum(each.score for each in point.tokens.paragraphs) == pytest.approx(point.score, rel=1e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_both_sides_add_up_to_the_scores_of_every_linear_recipe(task, tmp_path, name):
    attributor = byline.build(task, small(name), tmp_path, progress=False)
    answer = attributor.attribute(QUERY, k=3, direction="both", tokens=True)
    assert len(answer.proponents) == 3
    check_sums(answer)
    plain = attributor.attribute(QUERY, k=3, direction="both")
    assert [p.score for p in plain.proponents] == [p.score for p in answer.proponents]
    assert plain.query_tokens is None
    assert plain.proponents[0].tokens is None


@pytest.mark.parametrize("name", LINEAR)
def test_parts_add_up_before_the_rounding_is_shared_out(task, tmp_path, name, monkeypatch):
    attributor = byline.build(task, small(name), tmp_path, progress=False)
    seen = []

    def watched(parts_T, score, rounding):
        seen.append((score - parts_T.sum(), rounding, np.abs(parts_T).sum()))
        return settled(parts_T, score, rounding)

    monkeypatch.setattr(token_breakdown, "settled", watched)
    attributor.attribute(QUERY, k=8, direction="both", tokens=True)
    missing_V2, rounding_V2, size_V2 = np.array(seen).reshape(-1, 2, 3).transpose(2, 0, 1)
    assert len(missing_V2) >= 8
    assert (abs(missing_V2[:, 0]) <= 2e-5 * size_V2[:, 0]).all(), (
        "the query's side uses the stored row itself"
    )
    assert (abs(missing_V2) <= rounding_V2 / 2).all(), (
        "a bound that is nearly met refuses a good index some day"
    )
    assert (rounding_V2 < 0.01 * size_V2).all(), "a wide bound refuses no other training set"


def test_masks_and_checkpoints_add_up(opened):
    answer = opened.attribute(QUERY, k=5, direction="both", tokens=True)
    check_sums(answer)
    assert answer.query_tokens == ("the", " cat", " sat", " on", " a", " mat")
    assert answer.proponents[0].tokens.query_parts[0] == 0, "nothing predicts a first word"


def test_a_token_whose_loss_is_taken_out_takes_its_part_of_the_gradient_with_it(task, tmp_path):
    """Against brute force: the score of the query without the loss of one word, in the same stored rows."""
    attributor = byline.build(task, recipe("grad_dot", projection={"size": 256}), tmp_path, progress=False)
    answer = attributor.attribute(QUERY, k=4, tokens=True)
    item = torch.tensor([words.WORDS.index(word) for word in QUERY["words"]])
    for place in (1, 4):

        def loss_of_one(model, batch, place=place):
            return words.losses(model, batch)[:, place] / (len(item) - 1)

        alone = replace(task, targets={"one": lambda m, b, f=loss_of_one: -f(m, b)})
        featurizer = byline.features.queries.Featurizer.open(
            alone,
            attributor.index.recipe,
            {m.name: attributor.index.states(m.name) for m in attributor.members},
        )
        feature = featurizer.query([item], "one")[0].double().numpy()
        for point in answer.proponents:
            row = attributor.index.row_source.gather(np.array([point.row]))[0].astype(np.float64)
            query = attributor.index.query_vectors(feature[None].astype(np.float32))[0]
            assert point.tokens.query_parts[place] == pytest.approx(float(row @ query), rel=2e-4, abs=1e-6)


def test_hidden_previews_hide_texts_and_copies(task, tmp_path):
    hidden = replace(task, describe=lambda row: byline.Example(id=f"row-{row}"))
    attributor = byline.build(hidden, recipe("grad_dot", projection={"size": 64}), tmp_path, progress=False)
    tokens = attributor.attribute(QUERY, k=1, tokens=True).proponents[0].tokens
    assert tokens.texts is None
    assert tokens.copied == ()
    assert tokens.paragraphs == ()
    assert tokens.copied_score is None
    assert len(tokens.training_parts) >= 3


def test_padding_changes_nothing(opened):
    """Alone, and among longer questions of one batch."""
    other = {"words": ["a"] * 12}
    requests = [AttributionRequest(query=q, k=3, tokens=True) for q in (QUERY, other)]
    together = opened.answer([opened.check(each) for each in requests])
    alone = opened.attribute(QUERY, k=3, tokens=True)
    for one, two in zip(together[0].proponents, alone.proponents, strict=True):
        np.testing.assert_allclose(one.tokens.query_parts, two.tokens.query_parts, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one.tokens.training_parts, two.tokens.training_parts, rtol=1e-4, atol=1e-6)


def test_cost_grows_with_the_points(opened):
    plain = opened.check(AttributionRequest(query=QUERY, k=5, direction="both"))
    assert opened.tells_tokens
    told = opened.check(AttributionRequest(query=QUERY, k=5, direction="both", tokens=True))
    assert told.cost == plain.cost + 2 * 10
    assert told.batch_cost == plain.batch_cost + 2 * 10


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"k": MOST_POINTS + 1}, f"at most {MOST_POINTS} training points"),
        ({"target": "logit"}, "takes the targets loss, margin apart"),
        ({"refine": 2}, "tokens without refine"),
        ({"drill_down": True}, "tokens without drill_down"),
        ({"baseline": "bm25"}, "tokens without a baseline"),
    ],
)
def test_what_cannot_be_told_is_refused(opened, asked, message):
    with pytest.raises(InvalidQuery, match=message):
        opened.attribute(QUERY, tokens=True, **asked)


def test_other_forms_of_a_query_have_no_tokens(opened):
    for form in ({"query_set": [QUERY]}, {"feature": np.ones(opened.index.width)}):
        with pytest.raises(InvalidQuery, match="expected tokens with a query"):
            AttributionRequest(**form, tokens=True)


def test_a_task_without_positions_is_refused(task, tmp_path):
    attributor = byline.build(
        replace(task, positions=None), recipe("grad_dot", projection={"size": 16}), tmp_path, progress=False
    )
    with pytest.raises(InvalidQuery, match=r"needs Task\.positions"):
        attributor.attribute(QUERY, tokens=True)
    assert not attributor.tells_tokens


def test_images_are_told_patch_by_patch(tmp_path):
    torch.manual_seed(0)
    network = lambda: torch.nn.Sequential(  # noqa: E731
        torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 3)
    )
    images, labels = torch.randn(24, 1, 6, 6), torch.arange(24) % 3
    trained = TrainedModel(
        name="images",
        model=network,
        checkpoints=[Checkpoint(weights=network().state_dict())],
        data=TrainingData.from_arrays(images, labels),
    )
    task = image_classification(trained, classes=["a", "b", "c"])
    attributor = byline.build(task, recipe("ekfac", projection={"size": 40}), tmp_path, progress=False)
    query = {"image": images[3].tolist(), "label": 1}
    answer = attributor.attribute(query, k=3, direction="both", target="margin", tokens=True)
    assert answer.query_tokens is None
    for point in [*answer.proponents, *answer.opponents]:
        tokens = point.tokens
        assert tokens.grid == (6, 6)
        assert tokens.texts is None
        assert sum(tokens.query_parts) + tokens.query_rest == pytest.approx(point.score, rel=1e-4)
        assert sum(tokens.training_parts) + tokens.training_rest == pytest.approx(point.score, rel=1e-4)
        assert any(tokens.query_parts)
        assert any(tokens.training_parts)


def test_rounding_is_shared_out_by_size_and_more_than_rounding_is_refused():
    parts = np.array([1.0, -0.5, 0.0])
    found = settled(parts, 0.503, 0.05)
    assert found.sum() == pytest.approx(0.503)
    assert found[2] == 0
    np.testing.assert_allclose(found, [1.002, -0.499, 0], atol=1e-12)
    with pytest.raises(StaleIndex, match="restore the data"):
        settled(parts, 0.7, 0.05)
    assert not settled(np.zeros(2), 0.0, 0.0).any()


def test_a_changed_training_set_is_told(task, tmp_path):
    attributor = byline.build(task, recipe("grad_dot", projection={"size": 64}), tmp_path, progress=False)
    attributor._breakdown.task = replace(attributor.task, train_set=list(reversed(task.train_set)))
    with pytest.raises(StaleIndex):
        attributor.attribute(QUERY, k=3, tokens=True)


def test_one_changed_training_point_is_told_by_its_digest(task, tmp_path):
    """Its last word alone is another: too small a change for a sum to tell."""
    attributor = byline.build(task, recipe("grad_dot", projection={"size": 64}), tmp_path, progress=False)
    first = attributor.attribute(QUERY, k=1, tokens=True).proponents[0].row
    changed = [item.clone() for item in task.train_set]
    changed[first][-1] = (changed[first][-1] + 1) % len(words.WORDS)
    attributor._breakdown.task = replace(attributor.task, train_set=changed)
    with pytest.raises(StaleIndex, match=f"training point {first} is not the one"):
        attributor.attribute(QUERY, k=1, tokens=True)


@pytest.mark.parametrize("name", ["query_positions", "training_positions"])
def test_another_loss_is_told_by_the_sum(task, tmp_path, name, monkeypatch):
    attributor = byline.build(task, recipe("grad_dot", projection={"size": 64}), tmp_path, progress=False)
    right = getattr(token_breakdown, name)
    monkeypatch.setattr(token_breakdown, name, lambda *asked: [1.02 * each_T for each_T in right(*asked)])
    if name == "query_positions":
        monkeypatch.setattr(token_breakdown, name, lambda *asked: 1.02 * right(*asked))
    with pytest.raises(StaleIndex, match="another sum"):
        attributor.attribute(QUERY, k=3, tokens=True)
