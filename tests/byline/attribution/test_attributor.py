"""Standard errors, shares and the noise rule against brute force, and the Attributor over a real index."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.api.query import Filter
from byline.attribution.attributor import Attributor
from byline.attribution.optimism import candidate_count, optimism
from byline.attribution.owner_shares import owner_sums
from byline.attribution.request import AttributionRequest
from byline.attribution.uncertainty import (
    error_scope,
    member_units,
    sample_rows,
    standard_errors,
    stands_out,
    unit_count,
)
from byline.errors import InvalidQuery, NonFiniteGradient, StaleIndex
from byline.loading.task_file import load_task
from byline.members import Member
from byline_indexer.build.build import build
from byline_indexer.config import load_config

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0]}
MASKS = tuple(Member(0, seed) for seed in range(4))
CHECKPOINTS = tuple(Member(checkpoint) for checkpoint in range(4))
BOTH = tuple(Member(checkpoint, seed) for checkpoint in range(3) for seed in range(2))


def brute_error(values):
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


class TestUncertainty:
    def test_masks_of_one_checkpoint(self):
        scores = np.random.default_rng(0).standard_normal((5, 4))
        errors = standard_errors(scores, MASKS)
        assert error_scope(MASKS) == "within_checkpoint"
        np.testing.assert_allclose(errors, [brute_error(list(row)) for row in scores], rtol=1e-12)

    def test_several_checkpoints_count_by_their_means(self):
        scores = np.random.default_rng(1).standard_normal((2, 5, 6))
        errors = standard_errors(scores, BOTH)
        assert error_scope(BOTH) == "between_checkpoints"
        for q, i in itertools.product(range(2), range(5)):
            means = [scores[q, i, 2 * c : 2 * c + 2].mean() for c in range(3)]
            assert errors[q, i] == pytest.approx(brute_error(means), rel=1e-12)

    def test_masks_of_an_adapter_count_by_its_mean(self):
        members = tuple(Member(0, mask, adapter) for adapter in range(3) for mask in range(4))
        scores = np.random.default_rng(6).standard_normal((5, 12))
        means = scores.reshape(5, 3, 4).mean(axis=2)
        np.testing.assert_allclose(
            standard_errors(scores, members), [brute_error(list(row)) for row in means], rtol=1e-12
        )
        assert (error_scope(members), unit_count(members)) == ("within_checkpoint", 3)

    def test_units_are_the_outermost_part_that_differs(self):
        several = tuple(Member(c, m, a) for c in (4, 7) for a in range(2) for m in range(2))
        assert member_units(several) == (4, 4, 4, 4, 7, 7, 7, 7)
        assert member_units(several[:4]) == (0, 0, 1, 1)
        assert member_units(several[2:4]) == (0, 1)
        assert [unit_count(several[:n]) for n in (8, 4, 2, 1)] == [2, 2, 2, None]
        weighted = tuple(Member(c, weight=0.5) for c in range(3))
        assert unit_count(weighted) is None
        assert owner_sums(np.ones((2, 3)), weighted).share_error is None

    def test_unequal_units_weigh_as_they_do_in_the_mean(self):
        members = (Member(0, 0), Member(0, 1), Member(0, 2), Member(1, 0))
        scores = np.array([[1.0, 2.0, 3.0, 8.0]])
        expected = math.sqrt(0.75**2 + 0.25**2) * math.sqrt((2 - 5) ** 2 + (8 - 5) ** 2)
        assert standard_errors(scores, members)[0] == pytest.approx(expected, rel=1e-12)

    def test_one_member_knows_nothing(self):
        assert error_scope((Member(0),)) is None
        assert standard_errors(np.ones((3, 1)), (Member(0),)) is None


def brute_shares(sums):
    positive = [max(value, 0.0) for value in sums]
    total = sum(positive)
    return [value / total for value in positive]


class TestOwnerShares:
    def test_formula_and_clipped_mass(self):
        by_member = np.array([[1.0, 3.0, 2.0, 2.0], [-4.0, 0.0, -1.0, -3.0], [6.0, 5.0, 7.0, 6.0]])
        found = owner_sums(by_member, MASKS)
        np.testing.assert_allclose(found.score, [2, -2, 6])
        np.testing.assert_allclose(found.share, brute_shares([2, -2, 6]))
        assert (found.positive, found.clipped) == (8.0, 2.0)

    def test_errors_are_the_delete_one_jackknife(self):
        by_member = np.random.default_rng(2).standard_normal((5, 6)) + 0.5
        found = owner_sums(by_member, BOTH)
        units = by_member.reshape(5, 3, 2).mean(axis=2)
        without = np.array([brute_shares(np.delete(units, u, axis=1).mean(axis=1)) for u in range(3)])
        expected = np.sqrt(2 / 3 * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
        np.testing.assert_allclose(found.share_error, expected, rtol=1e-12)

    def test_small_spreads_give_the_delta_method(self):
        random = np.random.default_rng(3)
        score = np.array([4.0, 1.0, 7.0, -3.0])
        by_member = score[:, None] + 1e-5 * random.standard_normal((4, 4))
        found = owner_sums(by_member, MASKS)
        positive = found.score > 0
        total = found.score[positive].sum()
        share = np.where(positive, found.score, 0) / total
        moved = np.where(positive[:, None], by_member, 0) - share[:, None] * by_member[positive].sum(axis=0)
        delta = moved.std(axis=1, ddof=1) / 2 / total
        np.testing.assert_allclose(found.share_error, delta, rtol=1e-3, atol=1e-12)

    def test_splitting_an_owner_of_one_sign_changes_nothing(self):
        joined = owner_sums(np.array([[5.0] * 4, [3.0] * 4, [-2.0] * 4]), MASKS)
        split = owner_sums(np.array([[4.0] * 4, [1.0] * 4, [3.0] * 4, [-2.0] * 4]), MASKS)
        np.testing.assert_allclose(split.share[0] + split.share[1], joined.share[0])
        np.testing.assert_allclose(split.share[2], joined.share[1])

    def test_with_mixed_signs_splitting_gains_as_documented(self):
        joined = owner_sums(np.array([[2.0] * 4, [4.0] * 4]), MASKS)
        split = owner_sums(np.array([[5.0] * 4, [-3.0] * 4, [4.0] * 4]), MASKS)
        assert joined.share[0] == pytest.approx(1 / 3)
        assert split.share[0] == pytest.approx(5 / 9)
        assert split.clipped == 3.0

    def test_nobody_positive_means_no_shares(self):
        found = owner_sums(np.array([[-1.0] * 4, [0.0] * 4]), MASKS)
        assert found.share is None
        assert found.share_error is None

    def test_one_member_gives_shares_without_errors(self):
        found = owner_sums(np.array([[1.0], [3.0]]), (Member(0),))
        np.testing.assert_allclose(found.share, [0.25, 0.75])
        assert found.score_error is None
        assert found.share_error is None


class TestNoise:
    def test_gaussian_noise_seldom_stands_out_and_a_spike_does(self):
        random = np.random.default_rng(4)
        wrong = 0
        for _ in range(200):
            scores = random.standard_normal(5000)
            wrong += bool(stands_out("proponents", scores.max(), None, scores[sample_rows(5000)], 5000))
        assert wrong < 60
        sample = scores[sample_rows(5000)]
        assert stands_out("proponents", 8.0, None, sample, 5000) is True
        assert stands_out("opponents", -8.0, None, sample, 5000) is True
        assert stands_out("proponents", 8.0, 10.0, sample, 5000) is False
        assert stands_out("opponents", -8.0, 10.0, sample, 5000) is False

    def test_the_best_of_a_filter_on_the_wrong_side_does_not_stand_out(self):
        sample = np.random.default_rng(5).standard_normal(1024)
        assert stands_out("proponents", -8.0, 0.1, sample, 50) is False
        assert stands_out("opponents", 8.0, 0.1, sample, 50) is False
        assert stands_out("proponents", -1.0, 0.1, sample - 20, 50) is False
        assert stands_out("opponents", 1.0, None, sample + 20, 50) is False

    def test_unknown_where_there_is_no_spread(self):
        assert stands_out("proponents", 1.0, None, np.zeros(100), 100) is None
        assert stands_out("proponents", 1.0, None, np.arange(10.0), 10) is None
        assert stands_out("proponents", 1.0, None, np.full(100, np.nan), 100) is None

    def test_the_sample_is_spread_over_all_rows(self):
        assert list(sample_rows(5)) == [0, 1, 2, 3, 4]
        rows = sample_rows(10**7)
        assert (len(rows), rows[0], rows[-1]) == (1024, 0, 10**7 - 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the tiny Task and its index: 2 checkpoints x 2 masks."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "tiny_task.py").write_text(TINY.read_text())
    (folder / "build.toml").write_text(
        'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = 24\n'
        '[recipe.members]\nmasks = 2\n[index]\npath = "index"\ndtype = "fp32"\n'
    )
    build(load_config(folder / "build.toml"))
    return folder


@pytest.fixture(scope="module")
def attributor(built):
    return Attributor.open(built / "index")


def brute_scores(attributor, feature_K):
    """Score of every row by member, in float64, from the stored vectors."""
    index = attributor.index
    stored_RK = np.asarray(index.row_source.gather(np.arange(index.rows)), dtype=np.float64)
    products_RK = stored_RK * np.asarray(index.query_vectors(feature_K[None])[0], dtype=np.float64)
    return np.stack([4 * products_RK[:, part].sum(axis=1) for part in index.slices], axis=1)


def feature_of(attributor, *items, target=None, mean=False):
    return attributor._questions._featurizer.query(items, target, mean=mean)[0].numpy()


ITEM = (torch.tensor(QUERY["x"]), 2)


class TestAttributor:
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
        models = attributor._questions._featurizer._models
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


def wrong_gradients(attributor):
    """Gradients that are refused before anything is computed."""
    right = {name: torch.ones(shape) for name, shape in attributor.expected_gradients().items()}
    name = next(iter(right))
    return {
        "names": {f"x{each}": tensor for each, tensor in right.items()},
        "missing": dict(list(right.items())[1:]),
        "unknown": right | {"more": torch.ones(1)},
        "shape": right | {name: torch.ones(1)},
        "integers": right | {name: right[name].long()},
        "complex": right | {name: right[name].to(torch.complex64)},
        "float8": right | {name: right[name].to(torch.float8_e4m3fn)},
        "NaN": right | {name: right[name] * float("nan")},
    }


class TestOpening:
    def test_another_source_is_stale(self, built):
        source = built / "tiny_task.py"
        kept = source.read_text()
        try:
            source.write_text(kept + "\n# changed\n")
            with pytest.raises(StaleIndex, match="changed"):
                Attributor.open(built / "index")
        finally:
            source.write_text(kept)
        Attributor.open(built / "index")

    def test_other_weights_are_stale(self, built):
        task = load_task("tiny_task.py:task", built).task
        shifted = load_task("tiny_task.py:task", built).task
        shifted.checkpoints[0].weights["0.bias"][0] += 1
        Attributor.open(built / "index", task=task)
        with pytest.raises(StaleIndex, match="weights"):
            Attributor.open(built / "index", task=shifted)

    def test_without_its_task_an_index_answers_gradients_and_features(self, built, attributor):
        bare = Attributor.open_without_task(built / "index")
        feature_K = feature_of(attributor, ITEM)
        request = AttributionRequest(feature=feature_K, shares=True)
        mine, full = bare.attribute(request), attributor.attribute(request)
        assert mine.proponents == full.proponents
        assert mine.shares == full.shares
        bare.warm()
        for wrong in (wrong_gradients(bare)).values():
            with pytest.raises(InvalidQuery):
                bare.check(AttributionRequest(gradient=wrong))
        for refused in ({"query": QUERY}, {"gradient": {}}):
            with pytest.raises(InvalidQuery):
                bare.attribute(AttributionRequest(**refused))
        random = torch.Generator().manual_seed(0)
        gradients = {n: torch.randn(s, generator=random) for n, s in bare.expected_gradients().items()}
        by_gradient = AttributionRequest(gradient=gradients)
        assert bare.attribute(by_gradient).proponents == attributor.attribute(by_gradient).proponents
