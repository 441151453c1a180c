"""A receipt is booked once, unchanged, at its own index, while its key is accepted and a policy admits its question."""

import pytest

from byline.api.receipts import Receipt
from byline_service.compensation.event import signed_bytes
from byline_service.signing.keys import PublicKey, SigningKey
from tests.service.api.conftest import Api
from tests.service.api.test_statement_runs import EVENTS, POLICY, QUERY
from tests.service.fakes import fake_attributor

ASK = "/v1/indexes/fake/attributions"
ALL = {"shares": True, "members": True}
FORMER = SigningKey.from_secret(b"f" * 32)


def receipt_from(api, question=None, **options):
    answer = api.served.client.post(ASK, json=(question or QUERY) | ALL | options)
    assert answer.status_code == 200, answer.text
    return answer.json()["receipt"]


def resigned(receipt, key, **changes):
    """The receipt with other content, signed by another key."""
    content = Receipt.model_validate(receipt).content.model_copy(update=changes)
    signed = Receipt(content=content, signature=key.sign(signed_bytes(content)))
    return signed.model_dump(mode="json")


def refused(api, body):
    answer = api.post(EVENTS, body)
    assert answer.status_code in {409, 422}, answer.text
    return answer.status_code, answer.json()["detail"]


def test_a_receipt_is_booked_once_as_it_was_signed(api):
    receipt = receipt_from(api)
    (key,) = api.get("/v1/signing-keys").json()["data"]
    read = Receipt.model_validate(receipt)
    public = api.served.app.state.service.keyring.signing.public
    assert (key["id"], key["public_key"], key["current"]) == (read.signature.key, public.pem, True)
    assert PublicKey(public.raw).verifies(read.signature, signed_bytes(read.content))
    booked = api.post(EVENTS, {"receipt": receipt, "weight": 2, "reference": "seven"})
    assert booked.status_code == 201, booked.text
    assert booked.json()["id"] == receipt["content"]["id"]
    assert (booked.json()["weight"], booked.json()["signature"]) == (2, receipt["signature"])
    details = api.get(f"{EVENTS}/{booked.json()['id']}").json()
    assert {each["owner"]: each["scores"] for each in details["shares"]} == receipt["content"]["scores"]
    status, detail = refused(api, {"receipt": receipt, "weight": 9})
    assert (status, "not booked before" in detail) == (409, True)
    assert len(api.get(EVENTS).json()["data"]) == 1


def test_a_receipt_pays_as_the_event_of_its_question_does(api):
    api.post("/v1/policies", POLICY, as_="root")
    receipt = receipt_from(api)
    api.post(EVENTS, {"receipt": receipt})
    first = api.get(f"/v1/statements/{api.posted()}").json()
    api.post(EVENTS, QUERY)
    second = api.get(f"/v1/statements/{api.posted()}").json()
    assert first["lines"] == second["lines"]
    verified = api.get("/v1/ledger/verification", as_="grace").json()
    assert verified["findings"] == []


def test_changed_receipts_are_refused(api):
    receipt = receipt_from(api)
    owner, scores = next(iter(receipt["content"]["scores"].items()))
    altered = receipt["content"]["scores"] | {owner: [scores[0] + 1, *scores[1:]]}
    changes = [
        {"scores": altered}, {"scale": receipt["content"]["scale"] - 1}, {"asked": "query_set"}, {"id": "0" * 32},
        {"target": "margin"}, {"searched": 0, "total": 0}, {"version": "another"}, {"quality": None} | {"refine": 3},
    ]  # fmt: skip
    for change in changes:
        status, detail = refused(api, {"receipt": receipt | {"content": receipt["content"] | change}})
        assert (status, "changed" in detail) == (422, True), change
    value = receipt["signature"]["value"]
    forged = receipt["signature"] | {"value": ("A" if value[0] != "A" else "B") + value[1:]}
    assert refused(api, {"receipt": receipt | {"signature": forged}})[0] == 422
    assert api.get(EVENTS).json()["data"] == []


def test_a_receipt_of_an_unknown_key_is_refused(api):
    status, detail = refused(api, {"receipt": resigned(receipt_from(api), FORMER)})
    assert (status, "no longer accepted" in detail) == (422, True)


def test_a_receipt_of_a_former_key_is_booked_and_verified(serve):
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    api = Api(serve({"fake": attributor}, signing_former_keys=FORMER.public.pem))
    receipt = receipt_from(api)
    assert api.post(EVENTS, {"receipt": resigned(receipt, FORMER, id="former")}).status_code == 201
    assert api.post(EVENTS, {"receipt": receipt}).status_code == 201
    listed = api.get("/v1/signing-keys").json()["data"]
    current = [(each["id"] == FORMER.public.id, each["current"]) for each in listed]
    assert current == [(False, True), (True, False)]
    verified = api.get("/v1/ledger/verification", as_="grace").json()
    assert (verified["findings"], verified["records"]) == ([], 4)


def test_a_receipt_of_another_index_is_refused(serve):
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    other, _ = fake_attributor(members=3, checkpoints=3, name="other")
    api = Api(serve({"fake": attributor, "other": other}))
    answer = api.post("/v1/indexes/other/events", {"receipt": receipt_from(api)})
    assert answer.status_code == 422
    assert "another index" in answer.json()["detail"]


def test_a_receipt_stands_alone(api):
    receipt = receipt_from(api)
    for beside in (QUERY, {"feature": [0.5] * 18}, {"target": "margin"}, {"refine": 1}):
        status, detail = refused(api, {"receipt": receipt} | beside)
        assert (status, "without a question" in detail) == (422, True)


def test_a_receipt_of_a_feature_needs_a_policy_that_still_admits_it(api):
    api.post("/v1/policies", POLICY | {"asked": ["feature"]}, as_="root")
    first = receipt_from(api, {"feature": [0.5] * 18})
    second = receipt_from(api, {"feature": [0.5] * 18})
    assert first["content"]["asked"] == "feature"
    assert api.post(EVENTS, {"receipt": first}).status_code == 201
    api.post("/v1/policies", POLICY, as_="root")
    status, detail = refused(api, {"receipt": second})
    assert (status, "not_admitted" in detail) == (422, True)


@pytest.mark.parametrize("options", [{"members": False}, {"shares": False}, {"owners_limit": 1}])
def test_answers_without_every_owner_by_member_have_no_receipt(api, options):
    assert receipt_from(api, **options) is None


def test_a_filter_does_not_choose_who_is_paid(api):
    whole, filtered = receipt_from(api), receipt_from(api, filter={"owner": ["owner 1"]})
    assert filtered["content"]["scores"] == whole["content"]["scores"]
    assert (filtered["content"]["searched"], filtered["content"]["total"]) == (
        whole["content"]["searched"],
        whole["content"]["total"],
    )


def test_answers_that_nothing_pays_for_have_no_receipt(serve):
    attributor, _ = fake_attributor(members=1, checkpoints=1)
    assert receipt_from(Api(serve({"fake": attributor}))) is None
