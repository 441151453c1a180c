"""Events of real indexes, however these keep their rows: what is booked are the owners' sums over all rows."""

import numpy as np
import pytest

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from tests.indexer import tiny_task
from tests.service.keys import bearer

QUERY = {"x": [0.1, -0.4, 1.2, 0.3, -0.8, 0.5], "label": 2}
EVENTS = "/v1/indexes/tiny/events"
KINDS = {
    "exact": {},
    "compressed": {"index": {"search": "compressed"}},
    "codes alone": {"index": {"search": "compressed", "keep": "codes"}},
    "half precision": {"index": {"dtype": "fp16"}},
    "groups of an owner": {"groups": {"by": "owner"}},
    "pca": {"recipe": {"pca": {"size": 12, "sample": 60}}},
    "masks": {"recipe": {"name": "ekfac_margin", "members": {"masks": 2}}},
}


def built(folder, changes):
    config = {
        "task": f"{tiny_task.__file__}:task",
        "recipe": {"name": "ekfac", "projection": {"size": 24}} | changes.get("recipe", {}),
        "index": {"path": folder} | changes.get("index", {}),
        "build": {"block_rows": 32, "batch_rows": 16},
        **({"groups": changes["groups"]} if "groups" in changes else {}),
    }
    build(BuildConfig.model_validate(config))
    return Attributor.open(folder, name="tiny")


def sums(attributor):
    """Every row's scores by member, added up by owner, one row at a time."""
    asked = AttributionRequest(query=QUERY, k=tiny_task.ROWS, direction="proponents", members=True)
    found = {}
    for each in attributor.attribute(asked).proponents:
        row = np.array([each.members[member.name] for member in attributor.members])
        found[each.example.owner] = found.get(each.example.owner, 0) + row
    return found


def book(serve, attributor):
    served = serve({"tiny": attributor})
    headers = bearer(served.key_for(scopes=["read", "compensate"])) | {"idempotency-key": "once"}
    booked = served.client.post(EVENTS, json={"query": QUERY}, headers=headers)
    if booked.status_code != 201:
        return booked.status_code, booked.json()["detail"]
    return served.client.get(f"{EVENTS}/{booked.json()['id']}", headers=headers).json()


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_every_owner_are_the_sums_over_all_rows(kind, serve, tmp_path):
    attributor = built(tmp_path / "index", KINDS[kind])
    event = book(serve, attributor)
    # Codes alone are no rows to add up: owners' sums are kept beside them, from before the rounding.
    expected = sums(built(tmp_path / "rows", {}) if kind == "codes alone" else attributor)
    assert {each["owner"] for each in event["shares"]} == set(expected)
    largest = max(np.abs(row).max() for row in expected.values())
    positive = sum(max(row.mean(), 0) for row in expected.values())
    for each in event["shares"]:
        scores = np.array(each["scores"]) / 2.0 ** event["scale"]
        assert np.abs(scores - expected[each["owner"]]).max() <= 1e-5 * largest
        assert each["share"] == pytest.approx(max(expected[each["owner"]].mean(), 0) / positive, abs=1e-5)


def test_groups_that_mix_owners_are_not_booked(serve, tmp_path):
    status, detail = book(serve, built(tmp_path / "index", {"groups": {"by": "random", "size": 7}}))
    assert (status, "mix owners" in detail) == (422, True)
