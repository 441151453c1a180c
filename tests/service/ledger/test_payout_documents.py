"""Payouts as documents."""

import pytest

from byline.errors import NotFound
from byline_service.ledger.payout_documents import read_payout


def test_payouts_tell_their_state_and_their_sum(books):
    books.policy(pool=900)
    books.book({"ash": (30, 30, 30), "birch": (60, 60, 60)})
    run_id = books.draft()
    books.posted(run_id)
    first, second = books.prepare({"ash": 100}), books.prepare({"ash": 50, "birch": 70})
    books.posted(first)
    told = books.read(read_payout, first)
    assert (told.state, told.reference, told.confirmed_at) == ("posted", None, None)
    books.confirm(first)
    told = [books.read(read_payout, each) for each in (first, second)]
    assert [(each.id, each.state, each.total) for each in told] == [
        (first, "paid", 100),
        (second, "draft", 120),
    ]
    with pytest.raises(NotFound, match="of another run"):
        books.read(read_payout, run_id)
