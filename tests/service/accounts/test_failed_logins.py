"""Failed logins in the audit log: with the key's id if it exists, added up, and never more than a few lines a minute."""

from byline_service.accounts.failed_logins import LINES_A_MINUTE, MOST_APART, FailedLogin, FailedLogins
from byline_service.accounts.keys import new_key
from byline_service.maintenance import write
from tests.service.audit_lines import audit_lines
from tests.service.conftest import client_without_key
from tests.service.keys import sign_in


def login(address="a", key_id=None, attempts=1):
    return FailedLogin(key_id, "", address, attempts)


def test_logins_of_one_key_and_address_are_one_line():
    counted = FailedLogins()
    for each in (login("a"), login("b"), login("a"), login("a", "k")):
        counted.add(each)
    assert counted.take() == [login("a", attempts=2), login("b"), login("a", "k")]
    assert counted.take() == []


def test_a_flood_takes_few_lines_and_is_counted():
    now = [0.0]
    counted, lines, attempts = FailedLogins(lambda: now[0]), 0, 0
    for second in range(60):
        now[0] = second
        for place in range(100):
            counted.add(login(f"{second}.{place}"))
        taken = counted.take()
        lines += len(taken)
        attempts += sum(each.attempts for each in taken)
    now[0] = 120
    attempts += sum(each.attempts for each in counted.take())
    assert lines <= 2 * LINES_A_MINUTE
    assert attempts == 6000


def test_memory_is_bounded():
    counted = FailedLogins()
    for place in range(3 * MOST_APART):
        counted.add(login(str(place)))
    assert len(counted._counted) <= MOST_APART + 1
    assert sum(each.attempts for each in counted.take()) == 3 * MOST_APART


def test_logins_and_failures_are_in_the_audit_log_without_a_secret(served):
    client = client_without_key(served.client)
    key, unknown = served.key_for(scopes=["read"]), new_key().text
    assert sign_in(client, key).status_code == 204
    for each in (unknown, "byl_x", "nothing"):
        assert sign_in(client_without_key(served.client), each).status_code == 401
    key_id = key[4:16]
    assert client.post("/logout", headers={"origin": "http://localhost"}).status_code == 204
    assert served.client.delete(f"/v1/keys/{key_id}").status_code == 204
    assert sign_in(client_without_key(served.client), key).status_code == 401
    served.client.portal.call(write, served.app.state.service)
    lines = [each for each in audit_lines(served) if each["action"].startswith("sessions.")]
    assert [(each["action"], each["key_id"]) for each in lines] == [
        ("sessions.start", key_id),
        ("sessions.end", key_id),
        ("sessions.refuse", None),
        ("sessions.refuse", key_id),
    ]
    assert lines[0]["subject"] == lines[1]["subject"] != ""
    assert lines[2]["details"] == {"address": "testclient", "attempts": 3}
    assert lines[3]["person"] == "tester"
    for secret in (key[16:48], unknown[16:48]):
        assert secret not in str(lines)
