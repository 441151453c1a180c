"""Exports in the audit log: files and statements, with the key and the path, before the first byte."""

import pytest

from byline.errors import DiskFull
from byline_service.accounts import audit
from tests.service.audit_lines import audit_lines
from tests.service.conftest import client_without_key
from tests.service.keys import bearer

FILES = ("/usage.csv", "/compensation/ledger.csv", "/indexes/fake/owners.csv")


def exports(served):
    found = [each for each in audit_lines(served) if each["action"] == "exports.read"]
    return [(each["subject"], each["key_id"]) for each in found]


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_is_read_is_noted_without_its_query(served, path):
    key = served.key_for(scopes=["read"])
    client = client_without_key(served.client)
    client.headers |= bearer(key)
    given = client.get(path)
    assert given.status_code == 200, given.text
    assert "attachment" in given.headers["content-disposition"]
    assert exports(served) == [(path, key[4:16])]


def test_a_refused_or_other_answer_is_no_export(served):
    client = client_without_key(served.client)
    client.headers |= bearer(served.key_for(scopes=["query"]))
    assert client.get("/usage.csv").status_code == 403
    assert served.client.get("/usage").status_code == 200
    assert served.client.get("/v1/statements/none").status_code == 404
    assert exports(served) == []


def test_what_cannot_be_noted_is_not_sent(served, monkeypatch):
    async def full(*_):
        raise DiskFull("the disk is full")

    monkeypatch.setattr(audit, "record", full)
    for path in FILES:
        given = served.client.get(path)
        assert given.status_code == 507
        assert given.json()["type"] == "urn:byline:problem:disk-full"
        assert "owner" not in given.text
