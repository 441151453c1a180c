"""Payouts as documents."""

import pytest

from byline.errors import NotFound
from byline_service.ledger.payout_documents import read_payout, read_payouts


def test_payouts_are_listed_the_newest_first(books):
    books.policy(pool=900)
    books.book({"ash": (30, 30, 30), "birch": (60, 60, 60)})
    run_id = books.draft()
    books.posted(run_id)
    first, second = books.prepare({"ash": 100}), books.prepare({"ash": 50, "birch": 70})
    books.posted(first)
    books.confirm(first)
    page, following = books.read(read_payouts, None, 1)
    assert [(each.id, each.state, each.total) for each in page] == [(second, "draft", 120)]
    page, following = books.read(read_payouts, following, 5)
    assert ([(each.id, each.state) for each in page], following) == ([(first, "paid")], None)
    with pytest.raises(NotFound, match="of another run"):
        books.read(read_payout, run_id)
