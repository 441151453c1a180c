"""Recorded answers are read by those who may, for a time."""

from datetime import UTC, datetime, timedelta

from byline_service import maintenance
from byline_service.answers import answer_queries
from tests.service.keys import bearer
from tests.service.recorded_answers import people, recorded


def test_another_person_reads_and_deletes_a_shared_answer_at_most(served):
    keys = people(served)
    own = recorded(served, keys["ada"]).headers["location"]
    shared = recorded(served, keys["ada"], shared=True).headers["location"]
    of_owner = served.key_for(scopes=["read"], owners=["owner 1"], person="olga")
    for path, status in ((own, 404), (shared, 200)):
        assert served.client.get(path, headers=bearer(keys["grace"])).status_code == status
        assert (
            served.client.get(path.removeprefix("/v1"), headers=bearer(keys["grace"])).status_code == status
        )
        assert served.client.delete(path, headers=bearer(keys["grace"])).status_code == 404
        assert served.client.get(path, headers=bearer(of_owner)).status_code == 403
        assert served.client.get(path).status_code == 200, "admins read any"
    assert served.client.delete(own, headers=bearer(keys["ada"])).status_code == 204
    assert served.client.get(own, headers=bearer(keys["ada"])).status_code == 404


def test_an_expired_answer_is_not_read_and_then_deleted(served):
    key = people(served)["ada"]
    location = recorded(served, key).headers["location"]
    database = served.app.state.service.database
    later = datetime.now(UTC) + timedelta(days=91)

    async def forget(now):
        async with database.begin() as transaction:
            await answer_queries.forget(transaction, now)
            return await answer_queries.count(transaction, "ada")

    assert served.client.portal.call(maintenance.forget, database), "no row fails to be deleted"
    assert served.client.portal.call(forget, datetime.now(UTC)) == 1
    assert served.client.portal.call(forget, later) == 0
    assert served.client.get(location, headers=bearer(key)).status_code == 404
