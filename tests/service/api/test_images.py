"""Thumbnails over HTTP: the bytes, their headers, and who sees them."""

import numpy as np

from byline.api.thumbnails import png
from tests.service.keys import bearer

ID = "docs%2F{0}%2Fpart.py%23{0}"


def address(row):
    return f"/v1/indexes/fake/images/{ID.format(row)}"


def test_an_image_is_a_png_that_nothing_can_run(served):
    found = served.client.get(address(8))
    assert found.content == png(np.full((2, 3), 8, dtype=np.uint8))
    assert found.headers["content-type"] == "image/png"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert found.headers["cross-origin-resource-policy"] == "same-origin"
    assert found.headers["cache-control"] == "private, no-cache"


def test_a_kept_image_is_not_sent_again_and_another_one_is(served):
    tag = served.client.get(address(8)).headers["etag"]
    again = served.client.get(address(8), headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert served.client.get(address(12), headers={"If-None-Match": tag}).status_code == 200


def test_rows_without_an_image_and_unknown_ids_are_not_found(served):
    assert served.client.get(address(7)).status_code == 404
    assert served.client.get("/v1/indexes/fake/images/none").status_code == 404


def test_lists_and_answers_name_the_images_that_there_are(served):
    listed = served.client.get("/v1/indexes/fake/examples", params={"limit": 12}).json()["data"]
    assert [each["image"] for each in listed] == [address(r) if r % 4 == 0 else None for r in range(12)]
    assert all("image" not in each["example"] for each in listed)
    assert served.client.get("/v1/indexes/fake/examples/docs/8/part.py%238").json()["image"] == address(8)
    body = {"query": {"text": "hello", "label": 1}, "k": 50, "direction": "both"}
    answer = served.client.post("/v1/indexes/fake/attributions", json=body).json()
    hits = answer["proponents"] + answer["opponents"]
    assert [each["image"] for each in hits] == [
        address(r) if r % 4 == 0 else None for r in (e["row"] for e in hits)
    ]
    assert any(each["image"] for each in hits)


def test_an_owners_key_sees_its_own_images_alone(served):
    key = bearer(served.key_for(scopes=["read"], owners=["owner 1"]))
    seen = {}
    for row in range(0, 40, 4):
        example = served.client.get(f"/v1/indexes/fake/examples/{ID.format(row)}").json()["example"]
        status = served.client.get(address(row), headers=key).status_code
        assert status == (200 if example["owner"] == "owner 1" else 403)
        seen[status] = seen.get(status, 0) + 1
    assert len(seen) == 2
    refused = [r for r in range(0, 40, 4) if served.client.get(address(r), headers=key).status_code == 403]
    tag = served.client.get(address(refused[0])).headers["etag"]
    assert served.client.get(address(refused[0]), headers={**key, "If-None-Match": tag}).status_code == 403


def test_the_image_of_a_work_without_consent_is_not_found(api):
    assert api.get(address(8)).status_code == 200
    example = api.get(f"/v1/indexes/fake/examples/{ID.format(8)}").json()["example"]
    row = {"owner": example["owner"], "index": "fake", "work": example["id"], "status": "prohibited"}
    body = {"consents": [row | {"since": "2020-03-01T00:00:00Z", "source": "letter"}]}
    assert api.post("/v1/consents", body).status_code == 201
    api.served.app.state.service.consents.clock = lambda: 1e12
    assert api.get(address(8)).status_code == 404
