"""Netting of receivables, held against a slow reference, and references of banks."""

import random

import pytest

from byline.errors import InvalidInput
from byline_service.compensation.payouts import Due, Move, dues_of, netted, reference_key


def reference(moves):
    """Netting unit by unit: each unit of a debt is paid back by the next unit that comes in."""
    balance = paid_back = 0
    for _, amount, payout in moves:
        if payout and amount < 0:
            paid_back = 0
        for _ in range(abs(amount)):
            if not payout:
                paid_back = max(0, paid_back + (balance < 0 < amount) - (amount < 0 and balance <= 0))
            balance += 1 if amount > 0 else -1
    return Due(balance, paid_back)


def test_netting_is_that_of_single_units():
    draw = random.Random(7)
    for _ in range(300):
        moves = [
            Move("ash", draw.randint(-6, 6), payout=draw.random() < 0.3) for _ in range(draw.randint(1, 9))
        ]
        assert dues_of(moves)["ash"] == reference(moves), moves


def test_owners_are_netted_apart():
    moves = [Move("ash", -5, False), Move("birch", 9, False), Move("ash", 7, False)]
    assert dues_of(moves) == {"ash": Due(2, 5), "birch": Due(9, 0)}


def test_a_line_nets_at_most_its_amount_and_the_receivable():
    assert [netted(each, 5) for each in (-3, 0, 4, 9)] == [0, 0, 4, 5]


def test_references_that_a_person_reads_as_one():
    assert {reference_key(each) for each in ("B 1", "b1", " B1 ", "\uff22\uff11")} == {"b1"}
    for text in ("", "   ", "\u3164", "B\u200b1", "B\t1"):
        with pytest.raises(InvalidInput):
            reference_key(text)
