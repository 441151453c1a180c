"""Both clients against a real service: what they bring back is what the Attributor answers offline."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from byline.api.query import Filter
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery
from tests.indexer import tiny_task

QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}
OTHER = {"x": [1.5, 1.0, 0.25, -2.0, 0.0, 1.0]}


def same(answer, offline):
    return answer.model_dump(exclude={"timings"}) == offline.model_dump(exclude={"timings"})


def offline(attributor, **request):
    return attributor.attribute(AttributionRequest(owners_limit=100, **request))


@pytest.mark.parametrize(
    ("options", "request_options"),
    [
        ({}, {}),
        ({"k": 7, "direction": "both", "members": True}, {"k": 7, "direction": "both", "members": True}),
        ({"filter": {"owner": ["owner-1"]}}, {"filter": Filter(owner=["owner-1"])}),
        ({"filter": Filter(label=["0"])}, {"filter": Filter(label=["0"])}),
        ({"shares": True, "target": "margin"}, {"shares": True, "target": "margin"}),
        ({"refine": 3, "shares": True}, {"refine": 3, "shares": True}),
    ],
)
def test_queries(client, attributors, options, request_options):
    answer = client.attribute("ensemble", QUERY, **options)
    assert same(answer, offline(attributors["ensemble"], query=QUERY, **request_options))


def test_batches_sets_and_features(client, attributors):
    one, other = client.attribute_batch("ensemble", [QUERY, OTHER], k=3)
    close(one, offline(attributors["ensemble"], query=QUERY, k=3))
    close(other, offline(attributors["ensemble"], query=OTHER, k=3))
    answer = client.attribute_set("ensemble", [QUERY, OTHER])
    assert same(answer, offline(attributors["ensemble"], query_set=[QUERY, OTHER]))
    feature = [0.25 * (i % 5 - 2) for i in range(attributors["ensemble"].index.width)]
    assert same(
        client.attribute_feature("ensemble", feature), offline(attributors["ensemble"], feature=feature)
    )


def test_shares(client, attributors):
    expected = attributors["ensemble"].shares(AttributionRequest(query=QUERY, owners_limit=100))
    assert same(client.shares("ensemble", QUERY), expected)
    assert len(client.shares("ensemble", QUERY, owners_limit=2).shares.owners) == 2
    refined = attributors["ensemble"].shares(AttributionRequest(query=QUERY, owners_limit=100, refine=3))
    assert same(client.shares("ensemble", QUERY, refine=3), refined)
    assert refined.shares != expected.shares
    feature = [0.5] * attributors["ensemble"].index.width
    assert client.shares_of_feature("ensemble", feature).shares.coverage.complete
    assert client.shares_of_set("ensemble", [QUERY, OTHER], target="margin").target == "margin"


def model_of(checkpoint):
    network = tiny_task.network().eval()
    network.load_state_dict(tiny_task.weights(checkpoint))
    return network


def loss(network):
    return cross_entropy(network(torch.tensor([QUERY["x"]])), torch.tensor([QUERY["label"]]))


def close(answer, expected):
    assert [each.row for each in answer.proponents] == [each.row for each in expected.proponents]
    for one, other in zip(answer.proponents, expected.proponents, strict=True):
        assert one.score == pytest.approx(other.score, rel=1e-4)


def test_a_gradient_of_ones_own_gives_the_answer_to_the_query(client, attributors):
    answer = client.attribute_gradient("tiny", model_of(1), loss, k=5)
    close(answer, offline(attributors["tiny"], query=QUERY, k=5))
    finished = loss(own := model_of(1))
    close(client.attribute_gradient("tiny", own, finished, k=5), answer)


def test_gradients_of_an_ensemble_under_its_masks(client, attributors):
    models = {"c0": model_of(0), "c1": model_of(1)}
    answer = client.attribute_gradient("ensemble", models, loss, k=5, members=True)
    expected = offline(attributors["ensemble"], query=QUERY, k=5, members=True)
    close(answer, expected)
    for one, other in zip(answer.proponents, expected.proponents, strict=True):
        assert one.members == pytest.approx(other.members, rel=1e-4)


def test_tensors_and_their_options(client, attributors):
    generator = torch.Generator().manual_seed(1)
    expected = attributors["ensemble"].expected_gradients()
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in expected.items()}
    options = {"k": 3, "direction": "both", "shares": True}
    chosen = {"owner": ["owner-0", "owner-2"]}
    answer = client.attribute_tensors("ensemble", tensors, filter=chosen, **options)
    assert same(
        answer, offline(attributors["ensemble"], gradient=tensors, filter=Filter(**chosen), **options)
    )
    with pytest.raises(InvalidQuery, match="by attributes"):
        client.attribute_tensors("ensemble", tensors, filter={"attributes": {"a": 1}})


def test_progress_is_told(client, attributors):
    seen = []
    options = {"drill_down": True, "drill_groups": 4, "k": 5}
    answer = client.attribute("groups", QUERY, on_progress=seen.append, **options)
    assert same(answer, offline(attributors["groups"], query=QUERY, **options))
    assert seen
    assert seen[0].questions == 1
    batch = client.attribute_batch("ensemble", [QUERY, OTHER], on_progress=seen.append)
    assert len(batch) == 2
    assert seen[-1].questions == 2


def test_a_key_does_not_show(twin):
    made = twin(key="byl_secret")
    assert "secret" not in repr(vars(made._client).get("_exchange")) + repr(made._client)
