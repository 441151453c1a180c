"""Persons: recorded once, with a maker and a time; no second one of a name that looks like the first."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from byline.errors import InvalidInput
from byline_service.accounts import persons
from byline_service.accounts.audit import OPERATOR
from tests.service.keys import bearer

ALIKE = ["Ada", "\uff41da", "\u0430d\u0430", "ada\u3164", "ada\u200b", "ADA", "ada\u0650"]


def create(served, person, **more):
    body = {"name": "x", "person": person, "scopes": ["read"]}
    return served.client.post("/v1/keys", json=body, **more)


@pytest.mark.parametrize("name", ALIKE)
def test_a_name_that_looks_like_another_makes_no_second_person(served, name):
    assert create(served, "ada").status_code == 201
    refused = create(served, name)
    assert refused.status_code == 422
    assert name not in refused.text
    assert create(served, " ada ").json()["person"] == "ada"
    found = served.client.get("/v1/persons").json()["data"]
    assert [each["name"] for each in found] == ["ada", "tester"]


def test_a_person_is_recorded_with_the_maker(served):
    own = served.client.get("/v1/caller").json()
    assert (own["made_by"], own["made_by_key"]) == ("operator", None)
    made = create(served, "grace").json()
    assert (made["made_by"], made["made_by_key"]) == ("tester", own["id"])
    page = served.client.get("/v1/persons", params={"limit": 1}).json()
    assert (page["data"][0]["name"], page["has_more"]) == ("grace", True)
    assert (page["data"][0]["made_by"], page["data"][0]["made_by_key"]) == ("tester", own["id"])
    rest = served.client.get("/v1/persons", params={"limit": 1, "after": page["next"]}).json()
    assert ([each["name"] for each in rest["data"]], rest["next"]) == (["tester"], None)
    lines = served.client.get("/v1/audit").json()["data"]
    assert [line["action"] for line in lines[:2]] == ["keys.create", "persons.create"]
    assert served.client.get("/v1/persons", headers=bearer(made["key"])).status_code == 403


def test_of_two_that_look_alike_at_once_one_is_made(database):
    async def one(used, name):
        async with used.begin() as transaction:
            await persons.require_person(transaction, OPERATOR, name)

    async def both(used):
        names = ["modern", "rnodern", "Modern"]
        return await asyncio.gather(*(one(used, name) for name in names), return_exceptions=True)

    ended = database.run(both)
    assert sum(each is None for each in ended) == 1
    assert sum(isinstance(each, InvalidInput) for each in ended) == 2
    assert len(database.booked(persons.page, None, 10)) == 1


@pytest.mark.parametrize("table", ["persons", "person_skeletons"])
def test_the_database_itself_keeps_persons(database, table):
    database.booked(persons.require_person, OPERATOR, "ada")

    async def change(transaction):
        await transaction.exec_driver_sql(f"DELETE FROM {table}")

    with pytest.raises(DBAPIError, match="append-only"):
        database.booked(change)
