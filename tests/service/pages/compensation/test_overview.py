"""The first page of compensation: what waits, sums of accounts, and runs by name."""

import re

import pytest


@pytest.mark.parametrize(
    ("person", "words", "start"),
    [
        ("grace", "1 run waits for you", "/compensation"),
        ("ada", "1 run waits for another person", "/"),
        (None, "1 run waits for you", "/compensation"),
    ],
)
def test_each_person_lands_on_what_waits_for_them(house, person, words, start):
    key = house.keys[person] if person else None
    assert house.get("/start", key).headers["location"] == start
    text = house.get("/compensation", key).text
    assert words in text
    assert f'href="/compensation/runs/{house.runs.april}"><b>April 2026</b>' in text


def test_an_owner_lands_on_the_own_statements_and_sees_nobody_elses(house):
    key = house.keys["owner"]
    assert house.get("/start", key).headers["location"] == "/compensation"
    text = house.get("/compensation", key).text
    assert "March 2026" in text
    assert "April 2026" not in text
    assert "waits for" not in text
    for other in ("Ana", "Boris", "owner 2"):
        assert other not in text


def test_tiles_are_the_ledgers_sums(house):
    balances = house.client.get("/v1/ledger/balances").json()["data"]
    text = house.get("/compensation").text
    for account, title in (("payable", "Payable"), ("escrow", "In escrow"), ("unallocated", "Unallocated")):
        amount = sum(each["amount"] for each in balances if each["account"] == account)
        shown = re.search(
            rf'<dt>(?:<button[^>]*>)?{title}(?:</button>)?</dt><dd><data value="([0-9.]+)"', text
        )
        assert shown, title
        assert round(100 * float(shown[1])) == amount


def test_runs_have_names_of_periods_and_amounts(house):
    text = house.get("/compensation").text
    assert re.search(
        rf'/compensation/runs/{house.runs.march}">March 2026</a></th><td><span class="tag good">', text
    )
    assert house.runs.march[:12] not in re.sub(r'href="[^"]*"', "", text)
    lines = house.client.get("/compensation/periods.csv").text.splitlines()
    assert len(lines) == 1 + 4
    assert "Ana & Söhne" in lines[1]
