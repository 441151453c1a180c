"""The file of a payout for the bank: a credit transfer initiation of ISO 20022 (pain.001.001.03), in EUR.

The file of a payout is always the same: its message id is the payout's id, and each transfer's id is that and the number
of its line. A bank refuses a message id that it has seen, so a file that is sent twice pays once.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

from pydantic import ValidationError
from sepaxml import SepaTransfer

from byline.api.payouts import Payee
from byline.errors import InvalidInput
from byline_service.compensation.payees import require_payable_account
from byline_service.compensation.statements import PayoutStatement
from byline_service.compensation.timestamps import parse_timestamp

SCHEMA = "pain.001.001.03"
_NAMESPACE = f"urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"


@dataclass(frozen=True)
class PostedPayout:
    """A payout that is to be transferred."""

    id: str
    """Id of its run."""
    posted_at: str
    """Time of the posting. It is the day of the transfer, and the file's time."""
    statement: PayoutStatement
    """Its statement."""


def credit_transfer(payout: PostedPayout, payer: Payee) -> bytes:
    """Write the bank's file of a payout.

    Args:
        payout: The payout.
        payer: Account that the amounts are taken from.

    Returns:
        XML, valid by the schema of ISO 20022.

    Raises:
        InvalidInput: The currency is not EUR, or an owner has no account.
    """
    statement = payout.statement
    if statement.policy.currency != "EUR":
        raise InvalidInput(f"expected a payout in EUR for a credit transfer, got {statement.policy.currency}")
    without = sum(line.payee is None for line in statement.lines)
    if without:
        raise InvalidInput(
            f"expected an account of every owner, {without} have none: prepare it with `payees`"
        )
    posted = parse_timestamp(payout.posted_at)
    transfer = SepaTransfer(_account(payer) | {"currency": "EUR", "batch": True}, schema=SCHEMA, clean=True)
    for number, line in enumerate(statement.lines, start=1):
        assert line.payee is not None
        transfer.add_payment(
            _account(line.payee)
            | {
                "amount": line.amount,
                "execution_date": posted.date(),
                "description": f"{statement.policy.name} {payout.id[:12]}",
                "endtoend_id": f"{payout.id[:26]}-{number}",
            }
        )
    return _fixed(transfer.export(validate=True), payout.id, posted.strftime("%Y-%m-%dT%H:%M:%S"))


def payer_of(name: str, iban: str, bic: str | None) -> Payee:
    """Return the account that payouts are taken from.

    Args:
        name: Name of its holder.
        iban: Its IBAN.
        bic: BIC of its bank.

    Raises:
        InvalidInput: It is not set, or not valid.
    """
    try:
        payer = Payee(name=name, iban=iban, bic=bic)
    except ValidationError:
        raise InvalidInput("expected BYLINE_PAYER_NAME and BYLINE_PAYER_IBAN to be set, found none") from None
    require_payable_account(payer)
    return payer


def _account(payee: Payee) -> dict[str, str]:
    found = {"name": payee.name, "IBAN": payee.iban}
    return found if payee.bic is None else found | {"BIC": payee.bic}


def _fixed(written: bytes, payment: str, created: str) -> bytes:
    """Replace the random ids and the time of the computer: two files of one payout are the same to the byte."""
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(written)  # noqa: S314  its own library wrote it
    for name, value in (("MsgId", payment), ("CreDtTm", created), ("PmtInfId", payment)):
        for element in root.iter(f"{{{_NAMESPACE}}}{name}"):
            element.text = value
    fixed: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return fixed
