"""Further attempts to get more money than the rule gives: by pools of the past, spellings, accounts and references."""

import pytest

from byline.api.parties import PartyBody, PartyDetails
from byline.api.payouts import Payee
from byline.api.receipts import ReceiptContent
from byline.errors import InvalidInput
from byline_service.compensation.event import signed_bytes
from byline_service.compensation.rights_csv import parse_rights
from byline_service.compensation.runs import RunConflict, SamePerson
from byline_service.ledger import statement_queries
from byline_service.ledger.party_records import record_party
from tests.service.compensation.reference import KEY, event

SCORES = {"ash": (30, 30, 30), "birch": (60, 60, 60)}
POOL = 900
MARCH = "2026-03-01T00:00:00.000000Z"
IBAN, OTHER_IBAN = "DE89370400440532013000", "FR1420041010050500013M02606"
TRAINING = {
    "name": "training",
    "pool": POOL,
    "basis": "training",
    "fallback": "equal",
    "indexes": ("digits",),
}


@pytest.fixture
def books(sqlite_books):
    return sqlite_books


@pytest.fixture
def paying(books):
    """Books of a policy whose first month is posted."""
    books.policy(pool=POOL)
    books.book(SCORES)
    books.posted(books.draft())
    return books


def sound(books):
    assert books.verify().findings == []


def held(books, run_id):
    return {line.owner: line.held for line in books.lines(run_id) if line.held}


class TestTrainingPools:
    def test_periods_before_the_policy_have_no_pool(self, books):
        """A training pool needs no events. Each month of the past would be another pool for the same owners."""
        books.roster({"ash": 1})
        books.policy(**TRAINING)
        books.posted(books.draft("training"))
        for period in ("2026-02", "2025-12", "1999-01"):
            with pytest.raises(InvalidInput, match="in which the policy existed"):
                books.draft("training", period)
        books.posted(books.draft("training"))
        assert books.funded("training") == 2 * POOL
        sound(books)

    def test_a_revision_does_not_open_or_close_a_period(self, books):
        books.roster({"ash": 1})
        books.policy(**TRAINING)
        books.clock.end_month()
        books.policy(**TRAINING)
        with pytest.raises(InvalidInput, match="in which the policy existed"):
            books.draft("training", "2026-02")
        books.posted(books.draft("training", "2026-03"))
        sound(books)

    def test_a_verification_finds_a_pool_of_the_past(self, books, monkeypatch):
        books.roster({"ash": 1})
        books.policy(**TRAINING)
        books.clock.end_month()
        with monkeypatch.context() as cheated:
            cheated.setattr("byline_service.compensation.drafting.require_begun", lambda *_: None)
            books.posted(books.draft("training", "2026-02"))
        assert "existed" in str(books.verify().findings)


class TestHolds:
    @pytest.mark.parametrize("spelling", [" Zoë", "Zoë ", "Zoe\u0308", "Zo\u00eb\u00a0"])
    def test_a_hold_in_another_spelling_of_the_owner(self, books, spelling):
        books.policy(pool=POOL)
        books.hold(spelling)
        books.book({"Zoë": (1, 1, 1), "ash": (1, 1, 1)})
        assert held(books, books.draft()) == {"Zoë": POOL // 2}
        sound(books)

    @pytest.mark.parametrize("spelling", ["as\u200bh", "\u202eash", "  "])
    def test_a_hold_on_an_owner_with_invisible_letters(self, books, spelling):
        with pytest.raises(ValueError, match="label"):
            books.hold(spelling)

    def test_the_other_label_of_a_held_party(self, books):
        """A party with two labels is held by one of them. The other one's amounts are held too."""
        books.policy(pool=POOL)
        books.do(record_party, PartyBody(name="ash", aliases=["Ash & Sons"]))
        books.hold("ash")
        books.book({"ash": (1, 1, 1), "Ash & Sons": (1, 1, 1), "birch": (1, 1, 1)})
        run_id = books.draft()
        assert held(books, run_id) == {"ash": 300, "Ash & Sons": 300}
        books.posted(run_id)
        sound(books)

    def test_a_label_that_its_party_gets_after_the_draft(self, books):
        """The hold is on the party, so the approved run cannot pay its new label."""
        books.policy(pool=POOL)
        books.hold("ash")
        books.book({"Ash & Sons": (1, 1, 1)})
        run_id = books.draft()
        books.approve(run_id)
        books.do(record_party, PartyBody(name="ash", aliases=["Ash & Sons"]))
        with pytest.raises(RunConflict, match="others on its owners"):
            books.post(run_id)
        sound(books)

    def test_works_that_cancel_do_not_free_a_disputed_one(self, books):
        """The disputed work made ten times the owner's sum: its negative sisters hide nothing of it."""
        books.policy(pool=POOL)
        books.hold("ash", index="digits", work="stolen")
        works = {"ash": (("stolen", 900), ("a", -410), ("b", -400))}
        books.book({"ash": (30, 30, 30), "birch": (60, 60, 60)}, works=works)
        assert held(books, books.draft()) == {"ash": 300}
        sound(books)

    def test_held_amounts_twice(self, books):
        books.policy(pool=POOL)
        hold = books.hold("ash")
        books.book(SCORES)
        books.posted(books.draft())
        books.end_hold(hold)
        first, second = (books.release("settled", account="held") for _ in range(2))
        books.posted(first)
        books.approve(second)
        with pytest.raises(RunConflict, match="expected enough in every account"):
            books.post(second)
        assert books.account("payable") == {"ash": 300, "birch": 600}
        sound(books)


class TestConsents:
    def test_an_allowance_is_never_backdated_and_is_told(self, books):
        """It frees no event from before its record. The approver sees that a restriction has ended."""
        books.policy(pool=POOL)
        books.consent("prohibited", MARCH, owner="ash")
        books.book(SCORES)
        books.consent("allowed", MARCH, owner="ash")
        run_id = books.draft()
        assert held(books, run_id) == {"ash": 300}
        assert books.warned(run_id) == [("held", 300), ("holds_ended", 1)]
        sound(books)

    def test_works_that_were_allowed_again_for_a_later_event(self, books):
        books.policy(pool=POOL)
        books.consent("prohibited", MARCH, owner="ash")
        books.consent("allowed", MARCH, owner="ash")
        books.book(SCORES)
        assert books.warned(books.draft()) == [("holds_ended", 1)]
        books.book(SCORES)
        assert books.warned(books.draft()) == [("earlier_unpaid", 1)]
        sound(books)

    def test_an_allowance_of_another_version_work_or_spelling_frees_nothing(self, books):
        books.policy(pool=POOL)
        books.consent("prohibited", MARCH, owner="ash")
        books.consent("allowed", MARCH, owner="ash", work="17")
        books.consent("allowed", MARCH, owner="ash", version="0123456789ab")
        books.consent("allowed", MARCH, owner="\u0430sh")
        books.book(SCORES)
        assert held(books, books.draft()) == {"ash": 300}
        sound(books)


class TestPayouts:
    def party(self, books, iban):
        books.do(record_party, PartyBody(name="ash", aliases=["Ash & Sons"], details=PartyDetails(iban=iban)))

    def test_the_preparer_names_an_account_of_his_own(self, paying):
        self.party(paying, IBAN)
        with pytest.raises(InvalidInput, match="recorded account"):
            paying.prepare(payees={"ash": Payee(name="ash", iban=OTHER_IBAN)})
        paying.prepare(payees={"ash": Payee(name="ash", iban=IBAN)})
        sound(paying)

    def test_an_account_that_changes_before_the_posting(self, paying):
        """An administrator corrects the account after the preparation: the payout must be prepared again."""
        run_id = paying.prepare(payees={"ash": Payee(name="ash", iban=OTHER_IBAN)})
        paying.approve(run_id)
        self.party(paying, IBAN)
        with pytest.raises(InvalidInput, match="recorded account"):
            paying.post(run_id)
        sound(paying)

    @pytest.mark.parametrize("other", ["\u0412-1", "B\u2011\u0661", "\u0392-1"])
    def test_a_reference_in_other_letters(self, paying, other):
        with pytest.raises(InvalidInput, match="Latin letters"):
            paying.paid(other)

    @pytest.mark.parametrize("other", ["B\u20111", "b \u2013 1", "B\u0301-1", "\uff22\uff0d\uff11"])
    def test_one_bank_statement_confirms_two_payouts(self, paying, other):
        paying.paid("B-1", {"ash": 100})
        with pytest.raises(RunConflict, match="another payout has this one"):
            paying.paid(other)
        assert paying.account("paid") == {"ash": 100}
        sound(paying)

    def test_a_second_key_that_the_preparer_made_confirms(self, paying):
        """The bank's statement is read by another person than the one who made the amounts."""
        run_id = paying.prepare()
        paying.posted(run_id)
        for person in ("ada", "\u0430da", "ADA"):
            with pytest.raises(SamePerson):
                paying.confirm(run_id, person=person)
        assert paying.account("paid") == {}

    def test_returned_and_reversed_and_paid_again(self, paying):
        """A transfer that came back is payable once, and its run's reversal takes it once."""
        paying.paid(returned=["ash"])
        found = paying.read(statement_queries.page, None, 9)
        (run,) = (each for each in found if each.kind == "allocation")
        paying.reverse(run.id)
        assert paying.account("payable") == {"birch": -600}
        with pytest.raises(RunConflict, match="found none"):
            paying.prepare()
        with pytest.raises(RunConflict, match="got more"):
            paying.prepare({"ash": 300})
        sound(paying)


class TestReceipts:
    @pytest.mark.parametrize(
        "field", ["works", "scores", "target", "version", "quality", "error_scope", "total"]
    )
    def test_each_value_of_a_receipt_is_signed(self, field):
        honest = event(SCORES, works={"ash": (("17", 90),)})
        forged = {
            "works": {"ash": (("18", 90),)},
            "scores": {"ash": (90, 90, 90), "birch": (0, 0, 0)},
            "target": "loss",
            "version": "ba9876543210",
            "quality": {"metric": "lds", "target": "margin", "value": 900_000, "low": 900_000},
            "error_scope": "within_checkpoint",
            "total": 11,
        }
        values = {name: getattr(honest, name) for name in ReceiptContent.model_fields} | {
            field: forged[field]
        }
        content = ReceiptContent.model_validate(values)
        assert KEY.public.verifies(honest.signature, signed_bytes(honest))
        assert not KEY.public.verifies(honest.signature, signed_bytes(content))


class TestRights:
    @pytest.mark.parametrize(
        "rows",
        [
            "a,author,ash,600000,,2026-06-30\na,author,birch,600000,2026-06-30,",
            "a,author,ash,600000,2026-01-01,2026-12-31\na,author,ash,600000,2026-12-31,2027-01-31",
            "a ,author,ash,1000000,,\na,author,birch,1,2099-01-01,2099-01-01",
            "a,author,ash,400000,,\na,author,ash,400000,2026-01-01,\na,author,ash,400000,2026-02-01,2026-02-01",
        ],
    )
    def test_claims_that_overlap_on_a_day(self, rows):
        labels = {"ash": "ash", "birch": "birch"}
        with pytest.raises(InvalidInput, match="at most 1000000 millionths"):
            parse_rights(f"owner,right,party,share,from,to\n{rows}\n", labels)
