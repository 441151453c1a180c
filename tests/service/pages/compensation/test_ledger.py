"""The page of the ledger says whether accounts balance, and exports every entry."""

import csv
import io

from byline.api.statements import BalanceDocument
from byline_service.pages.compensation.ledger import balanced


def balance(account, owner, amount):
    return BalanceDocument(
        policy="p", account=account, owner=owner, currency="EUR", minor_digits=2, amount=amount
    )


def test_accounts_balance_by_policy():
    assert balanced([balance("funding", None, -5), balance("payable", "a", 5)])
    other = balance("funding", None, -5).model_copy(update={"policy": "q", "currency": "USD"})
    assert not balanced([balance("payable", "a", 5), other])


def test_the_file_has_every_entry_and_adds_up_to_zero(house):
    text = house.get("/compensation/ledger").text
    assert "All accounts add up to zero" in text
    head, *rows = csv.reader(io.StringIO(house.get("/compensation/ledger.csv").text))
    amount = head.index("amount")
    assert sum(round(100 * float(row[amount])) for row in rows) == 0
    assert {row[head.index("account")] for row in rows} >= {"funding", "payable", "escrow"}
