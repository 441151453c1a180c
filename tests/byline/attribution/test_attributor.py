"""Standard errors, shares and the noise rule against brute force, and the Attributor over a real index."""

import math

import numpy as np
import pytest
import torch

from byline.api.query import Filter, options_of
from byline.attribution.optimism import candidate_count, optimism
from byline.attribution.request import AttributionRequest
from byline.attribution.uncertainty import (
    sample_rows,
    stands_out,
)
from byline.errors import InvalidQuery, NonFiniteGradient
from byline.members import Member

QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0]}
CHECKPOINTS = tuple(Member(checkpoint) for checkpoint in range(4))


def brute_error(values):
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def brute_shares(sums):
    positive = [max(value, 0.0) for value in sums]
    total = sum(positive)
    return [value / total for value in positive]


def brute_scores(attributor, feature_K):
    """Score of every row by member, in float64, from the stored vectors."""
    index = attributor.index
    stored_RK = np.asarray(index.row_source.gather(np.arange(index.rows)), dtype=np.float64)
    products_RK = stored_RK * np.asarray(index.query_vectors(feature_K[None])[0], dtype=np.float64)
    return np.stack([4 * products_RK[:, part].sum(axis=1) for part in index.slices], axis=1)


def feature_of(attributor, *items, target=None, mean=False):
    return attributor._preparer._featurizer.query(items, target, mean=mean)[0].numpy()


ITEM = (torch.tensor(QUERY["x"]), 2)


class TestAttributor:
    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"examples": False}, "examples: unknown field"),
            ({"every_owner": True}, "every_owner: unknown field"),
            ({"gradient": 1}, "gradient: unknown field"),
            ({"K": 1}, "K: unknown field, expected baseline, direction"),
        ],
    )
    def test_keywords_are_those_of_the_client(self, attributor, option, message):
        for ask in (attributor.attribute, attributor.shares, lambda query, **given: options_of(**given)):
            with pytest.raises(InvalidQuery) as caught:
                ask(QUERY, **option)
            assert str(caught.value).startswith(message)

    def test_every_form_gives_the_brute_force_answer(self, attributor):
        feature_K = feature_of(attributor, ITEM)
        by_member_RM = brute_scores(attributor, feature_K)
        score_R = by_member_RM.mean(axis=1)
        order = np.argsort(-score_R, kind="stable")
        by_query = attributor.attribute(
            AttributionRequest(query=QUERY | {"label": 2}, k=200, direction="both", members=True, shares=True)
        )
        by_feature = attributor.attribute(AttributionRequest(feature=feature_K, k=200, direction="both"))
        for answer in (by_query, by_feature):
            assert [each.row for each in answer.proponents] == list(order)
            assert [each.row for each in answer.opponents] == list(np.argsort(score_R, kind="stable"))
            np.testing.assert_allclose([each.score for each in answer.proponents], score_R[order], rtol=1e-5)
        for each in by_query.proponents:
            means = by_member_RM[each.row].reshape(2, 2).mean(axis=1)
            assert each.standard_error == pytest.approx(brute_error(list(means)), rel=1e-4)
            np.testing.assert_allclose(list(each.members.values()), by_member_RM[each.row], rtol=1e-4)
            assert each.example.id == f"point-{each.row}"
        assert (by_query.standard_error_scope, by_query.standard_error_units) == ("between_checkpoints", 2)
        sums = {f"owner-{o}": score_R[o::4].sum() for o in range(4)}
        shares = dict(zip(sums, brute_shares(list(sums.values())), strict=True))
        for each in by_query.shares.owners:
            assert each.score == pytest.approx(sums[each.owner], rel=1e-4)
            assert each.share == pytest.approx(shares[each.owner], rel=1e-4, abs=1e-9)
        assert by_query.shares.coverage.complete

    def test_intervals_are_students_around_what_is_not_luck(self, attributor):
        by_member_RM = brute_scores(attributor, feature_of(attributor, ITEM))
        score_R = by_member_RM.mean(axis=1)
        answer = attributor.attribute(
            AttributionRequest(query=QUERY | {"label": 2}, k=3, direction="both", shares=True)
        )
        for name, order in (("proponents", np.argsort(-score_R)), ("opponents", np.argsort(score_R))):
            pool = by_member_RM[order[: candidate_count(3)]]
            luck = optimism(name, pool, attributor.members, 3)
            assert getattr(answer.optimism, name) == pytest.approx(luck, abs=1e-4)
            for each in getattr(answer, name):
                middle, half = each.score * (1 - luck), 12.7062047 * each.standard_error
                assert each.interval == pytest.approx((middle - half, middle + half), rel=1e-3, abs=1e-4)
        for each in answer.shares.owners:
            half = 12.7062047 * each.standard_error
            assert each.interval == pytest.approx((each.score - half, each.score + half), rel=1e-6)
            assert 0 <= each.share_interval[0] <= each.share <= each.share_interval[1] <= 1

    def test_what_stands_out_does_so_by_students_t(self, attributor):
        random, sampled, changed = np.random.default_rng(8), sample_rows(attributor.index.rows), 0
        for _ in range(20):
            query = QUERY | {"x": (3 * random.standard_normal(6)).tolist(), "label": 2}
            answer = attributor.attribute(AttributionRequest(query=query, k=attributor.index.rows))
            best, score_R = answer.proponents[0], {each.row: each.score for each in answer.proponents}
            sample, rows = np.array([score_R[row] for row in sampled]), len(score_R)
            half = 12.7062047 * best.standard_error
            assert answer.stands_out.proponents is stands_out("proponents", best.score, half, sample, rows)
            by_two = stands_out("proponents", best.score, 2 * best.standard_error, sample, rows)
            changed += by_two is not answer.stands_out.proponents
        assert changed, "for some query, two errors of two checkpoints would have done"

    def test_given_gradients_are_the_querys_own(self, attributor):
        task, tensors = attributor.task, {}
        models = attributor._preparer._featurizer._models
        batch = task.collate([ITEM])
        for member in attributor.members:
            with models[member]._passes.within():
                loss = task.loss(models[member].model.requires_grad_(True), batch)[0]
                names, parameters = zip(*models[member].model.named_parameters(), strict=True)
                grads = torch.autograd.grad(loss, parameters)
            models[member].model.requires_grad_(False)
            tensors |= {f"{member.name}/{name}": grad for name, grad in zip(names, grads, strict=True)}
        assert {name: tuple(t.shape) for name, t in tensors.items()} == attributor.expected_gradients()
        given = attributor.attribute(AttributionRequest(gradient=tensors))
        asked = attributor.attribute(AttributionRequest(query=QUERY | {"label": 2}))
        assert [each.row for each in given.proponents] == [each.row for each in asked.proponents]
        np.testing.assert_allclose(
            [each.score for each in given.proponents], [each.score for each in asked.proponents], rtol=1e-4
        )
        assert given.target is None

    def test_what_is_predicted_is_attributed(self, attributor):
        open_ended = attributor.attribute(AttributionRequest(query=QUERY))
        label = int(open_ended.prediction["label"])
        stated = attributor.attribute(AttributionRequest(query=QUERY | {"label": label}))
        assert stated.prediction is None
        assert (open_ended.prediction_member, stated.prediction_member) == ("c0", None)
        assert stated.proponents == open_ended.proponents

    def test_targets_differ_and_a_set_is_the_mean(self, attributor):
        margin = attributor.attribute(AttributionRequest(query=QUERY | {"label": 2}, target="margin"))
        loss = attributor.attribute(AttributionRequest(query=QUERY | {"label": 2}))
        assert margin.proponents[0].score != loss.proponents[0].score
        other = {"x": [1.0] * 6, "label": 0}
        together = attributor.attribute(AttributionRequest(query_set=[QUERY | {"label": 2}, other], k=90))
        feature_K = feature_of(attributor, ITEM, (torch.ones(6), 0), mean=True)
        scores = brute_scores(attributor, feature_K).mean(axis=1)
        np.testing.assert_allclose(
            [each.score for each in together.proponents], np.sort(scores)[::-1], rtol=1e-4, atol=1e-6
        )
        assert together.predictions == (None, None)

    def test_filters_reach_every_matching_row_and_say_so(self, attributor):
        answer = attributor.attribute(
            AttributionRequest(query=QUERY, k=90, filter=Filter(owner=["owner-1", "owner-2"]))
        )
        assert {each.row % 4 for each in answer.proponents} == {1, 2}
        assert len(answer.proponents) == answer.coverage.searched == 45
        assert not answer.coverage.complete

    def test_a_batch_gives_the_answers_of_one_by_one(self, attributor):
        requests = [
            AttributionRequest(query={"x": [float(i)] * 6, "label": i % 3}, k=1 + i, direction=direction)
            for i, direction in enumerate(["proponents", "opponents", "both", "proponents"])
        ]
        together = attributor.answer([attributor.check(request) for request in requests])
        for request, answer in zip(requests, together, strict=True):
            alone = attributor.attribute(request)
            for end in ("proponents", "opponents"):
                one, other = getattr(alone, end), getattr(answer, end)
                assert (one is None) == (other is None)
                for a, b in zip(one or (), other or (), strict=True):
                    assert (a.row, a.rank) == (b.row, b.rank)
                    assert a.score == pytest.approx(b.score, rel=1e-4)

    def test_shares_alone_are_the_shares_of_an_answer(self, attributor):
        alone = attributor.shares(AttributionRequest(query=QUERY)).shares
        assert alone == attributor.attribute(AttributionRequest(query=QUERY, shares=True)).shares

    def test_a_limit_sums_up_the_owners_that_it_leaves_out(self, attributor):
        full = attributor.shares(AttributionRequest(query=QUERY)).shares
        few = attributor.shares(AttributionRequest(query=QUERY, owners_limit=1)).shares
        assert full.others is None
        assert few.owners == full.owners[:1]
        assert (few.positive, few.clipped, few.coverage) == (full.positive, full.clipped, full.coverage)
        left = full.owners[1:]
        assert (few.others.owners, few.others.examples) == (3, sum(each.examples for each in left))
        assert few.others.score == pytest.approx(sum(each.score for each in left))
        assert few.others.share == pytest.approx(sum(each.share for each in left))
        exactly = attributor.shares(AttributionRequest(query=QUERY, owners_limit=4)).shares
        assert exactly == full

    def test_entries_count_as_cost(self, attributor):
        small = attributor.check(AttributionRequest(query=QUERY, k=999))
        large = attributor.check(
            AttributionRequest(query=QUERY, k=1000, direction="both", shares=True, owners_limit=1000)
        )
        assert (small.cost, large.cost) == (1, 4)

    def test_wrong_requests_are_refused_without_repeating_them(self, attributor):
        for query in ({"x": [1.0]}, {"x": ["secret"] * 6}, {}, QUERY | {"other": "secret"}):
            with pytest.raises(InvalidQuery) as caught:
                attributor.attribute(AttributionRequest(query=query))
            assert "secret" not in str(caught.value)
        for wrong in (
            {},
            {"query": QUERY, "feature": [1.0]},
            {"query": QUERY, "k": 0},
            {"query_set": []},
            {"query": QUERY, "owners_limit": 0},
        ):
            with pytest.raises(InvalidQuery):
                attributor.attribute(AttributionRequest(**wrong))
        with pytest.raises(InvalidQuery, match="loss, logit, margin"):
            attributor.attribute(AttributionRequest(query=QUERY, target="other"))

    def test_a_query_of_a_set_is_named_by_its_number(self, attributor):
        for wrong, message in (
            ({"x": [1.0]}, r"expected a valid query 2 of query_set: x: expected at least 6 items, got 1"),
            (
                {"x": [3.4e38] * 6, "label": 1},
                r"^query 2 of query_set: the loss or target is NaN or infinite",
            ),
        ):
            with pytest.raises((InvalidQuery, NonFiniteGradient), match=message):
                attributor.attribute(AttributionRequest(query_set=[QUERY, wrong, QUERY]))

    def test_answers_are_finite_json(self, attributor):
        text = attributor.attribute(AttributionRequest(query=QUERY, shares=True)).model_dump_json()
        assert "NaN" not in text
        assert "Infinity" not in text
