"""A receipt is made of an answer, and an event of a receipt."""

from byline.api.answer import Answer, Shares
from byline.api.answer_parts import Coverage, OwnerShare
from byline.members import Member
from byline_service.compensation.receipts import Answered, Answerer, event_of, receipt_of
from tests.service.compensation.reference import AT, KEY


class TestBooking:
    def test_masks_of_an_adapter_are_one_unit_of_the_event(self):
        members = tuple(Member(0, mask, adapter) for adapter in range(3) for mask in range(2))
        by_member = {member.name: float(m) for m, member in enumerate(members)}
        whole = Coverage(searched=4, total=4, complete=True)
        share = OwnerShare(
            owner="a",
            examples=4,
            score=2.5,
            standard_error=1.0,
            share=1.0,
            share_standard_error=0.0,
            members=by_member,
        )
        answer = Answer.model_construct(
            index="digits", version="v", recipe_fingerprint="f", target="loss", standard_error_scope="within_checkpoint",
            shares=Shares(owners=(share,), positive=2.5, clipped=0.0, coverage=whole),
        )  # fmt: skip
        answered = Answered(id="e", at=AT, asked="query", question="q")
        receipt = receipt_of(answered, Answerer(members=members, manifest="m", card=None), answer, KEY)
        booked = event_of(receipt, AT)
        assert [member.unit for member in booked.members] == [0, 0, 1, 1, 2, 2]
        assert (booked.units, len(booked.scores["a"])) == (3, 6)
