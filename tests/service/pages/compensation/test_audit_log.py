"""The page of the money's audit log: readers see the changes by person, and none of keys and sessions."""

import re

from tests.service.keys import bearer


def rows(text):
    found = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    return re.findall(r'<th scope="row">([^<]*)</th>', found[1]) if found else []


def test_changes_are_filtered_by_person_and_action(house):
    key = house.key_for(scopes=["read"], person="reader")
    text = house.get("/compensation/audit", key).text
    assert {"policies.revise", "events.book", "statement-runs.draft"} <= set(rows(text))
    assert not [each for each in rows(text) if each.startswith(("keys.", "persons.", "sessions."))]
    assert set(rows(house.get("/compensation/audit?action=policies.revise", key).text)) == {"policies.revise"}
    assert rows(house.get("/compensation/audit?person=nobody", key).text) == []
    assert house.get("/compensation/audit?action=keys.create", key).text.count("keys.create") == 0


def test_owners_see_no_log(served):
    owner = bearer(served.key_for(scopes=["read"], owners=["owner 1"]))
    assert served.client.get("/compensation/audit", headers=owner).status_code == 403
    text = served.client.get("/compensation/audit").text
    assert "No changes yet." in text
