"""The bank's file of a payout."""

from xml.etree import ElementTree

import pytest

from byline.api.payouts import Payee
from byline.errors import InvalidInput
from byline_service.compensation.credit_transfer import PostedPayout, credit_transfer
from byline_service.compensation.payouts import Due, WantedPayout, draft_payout
from tests.service.compensation.reference import policy

PAYER = Payee(name="Verlag", iban="FR1420041010050500013M02606", bic="BNPAFRPPXXX")
PAYEES = {
    "ash": Payee(name="Ásh & Søn <x>", iban="DE89370400440532013000"),
    "birch": Payee(name="Birch", iban="NL91ABNA0417164300", bic="ABNANL2A"),
}


def posted(payees=PAYEES, currency="EUR"):
    amounts = {"ash": 12_345, "birch": 7}
    dues = {owner: Due(amount) for owner, amount in amounts.items()}
    statement = draft_payout(policy(currency=currency), WantedPayout(amounts=amounts, payees=payees), dues)
    return PostedPayout("a" * 32, "2026-04-03T10:00:00.000000Z", statement)


def texts(written, name):
    root = ElementTree.fromstring(written)  # noqa: S314  the test made it
    return [each.text for each in root.iter() if each.tag.endswith("}" + name)]


def test_each_owner_has_a_transfer_and_the_sum_is_the_payouts():
    written = credit_transfer(posted(), PAYER)
    assert texts(written, "InstdAmt") == ["123.45", "0.07"]
    assert set(texts(written, "CtrlSum")) == {"123.52"}
    assert texts(written, "IBAN") == [PAYER.iban, *(each.iban for each in PAYEES.values())]
    assert texts(written, "MsgId") == texts(written, "PmtInfId") == ["a" * 32]
    assert texts(written, "EndToEndId") == ["a" * 26 + "-1", "a" * 26 + "-2"]
    assert texts(written, "ReqdExctnDt") == ["2026-04-03"]


def test_the_file_is_the_same_each_time():
    assert credit_transfer(posted(), PAYER) == credit_transfer(posted(), PAYER)


def test_payouts_that_no_such_file_can_pay():
    with pytest.raises(InvalidInput, match="1 have none"):
        credit_transfer(posted({"ash": PAYEES["ash"]}), PAYER)
    with pytest.raises(InvalidInput, match="in EUR"):
        credit_transfer(posted(currency="USD"), PAYER)


@pytest.mark.parametrize(
    "name",
    [
        "Ash</Nm></Cdtr><Amt><InstdAmt Ccy='EUR'>9999.00</InstdAmt></Amt>",
        "]]><InstdAmt>9</InstdAmt><![CDATA[",
        "&lt;InstdAmt&gt;9&#60;",
        "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>&b;",
    ],
)
def test_the_name_of_a_payee_adds_no_transfer(name):
    payees = PAYEES | {"ash": Payee(name=name, iban=PAYEES["ash"].iban)}
    written = credit_transfer(posted(payees), PAYER)
    assert texts(written, "InstdAmt") == ["123.45", "0.07"]
    assert set(texts(written, "CtrlSum")) == {"123.52"}
    assert b"<!" not in written
