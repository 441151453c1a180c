"""Owners' accounts over HTTP: searched, sorted, paged, narrowed to the key; and ten thousand of them in time."""

import time

import pytest
from sqlalchemy import insert, select

from byline_service.database.tables.compensation import ledger_entries
from tests.service.keys import bearer
from tests.service.office import keep, office

OWNERS, MONTHS = 10_000, 4
SECONDS = 0.3
"""Processor time of a page of ten thousand owners, database included."""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with office(tmp_path_factory.mktemp("office")) as found:
        yield found


def listed(house, key=None, **query):
    headers = bearer(key) if key else {}
    return house.client.get(
        "/v1/ledger/owners", params={"policy": "royalties"} | query, headers=headers
    ).json()


def test_owners_have_the_balances_of_their_accounts(house):
    balances = house.client.get("/v1/ledger/balances").json()["data"]
    page = listed(house)
    assert (page["found"], page["owners"], page["next"], page["currency"]) == (4, 4, None, "EUR")
    amounts = [each["payable"] for each in page["data"]]
    assert amounts == sorted(amounts, reverse=True)
    for owner in page["data"]:
        for account in ("payable", "escrow", "carried"):
            own = [b["amount"] for b in balances if (b["owner"], b["account"]) == (owner["owner"], account)]
            assert owner[account] == sum(own)


def test_pages_follow_each_other(house):
    first = listed(house, limit=3)
    second = listed(house, limit=3, after=first["next"])
    assert [len(first["data"]), len(second["data"])] == [3, 1]
    assert second["next"] is None
    assert listed(house)["data"] == first["data"] + second["data"]
    assert listed(house, text="studio")["found"] == 1


def test_a_key_with_owners_sees_these_alone(house):
    key = house.key_for(scopes=["read"], owners=["owner 1"])
    assert [each["owner"] for each in listed(house, key)["data"]] == ["owner 1"]
    assert listed(house, key, policy="another")["status"] == 404
    assert house.get("/v1/statement-lines?owner=owner%202", key).status_code == 403
    (line,) = house.get("/v1/statement-lines?owner=owner%201", key).json()["data"]
    assert (line["run"]["period"], line["run"]["warnings"], line["line"]["owner"]) == (
        "2026-03",
        [],
        "owner 1",
    )


def test_runs_that_wait_are_listed_alone(house):
    waiting = house.client.get("/v1/statement-runs?waiting=true").json()["data"]
    assert [each["id"] for each in waiting] == [house.runs.april]
    assert len(house.client.get("/v1/statement-runs").json()["data"]) == 2


def many(books):
    """Keep books of ten thousand owners and four months: the entries of one run, many times over."""
    runs = keep(books)

    async def grown(transaction):
        (row,) = (await transaction.execute(select(ledger_entries).limit(1))).mappings()
        rows = [
            dict(row) | {"line": 1000 + n, "owner": f"Owner {n % OWNERS:05}", "account": account, "amount": n}
            for n, account in enumerate(
                account for _ in range(MONTHS) for account in ("payable",) * OWNERS + ("escrow",) * OWNERS
            )
        ]
        await transaction.execute(insert(ledger_entries), rows)

    books.used.booked(grown)
    return runs


@pytest.mark.slow
def test_a_page_of_ten_thousand_owners_answers_in_time(tmp_path):
    with office(tmp_path, many) as found:
        for path in (
            "/compensation/owners?text=9&sort=owner&order=asc",
            "/compensation/owners?after=5000",
            "/v1/ledger/owners?policy=royalties",
        ):
            took = []
            for _ in range(3):
                start = time.process_time()
                assert found.get(path).status_code == 200
                took.append(time.process_time() - start)
            assert min(took) < SECONDS, path
        assert found.get("/v1/ledger/owners?policy=royalties").json()["owners"] == OWNERS + 4
