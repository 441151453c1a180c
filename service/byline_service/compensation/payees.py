"""Accounts that owners are paid to."""

from stdnum import iban

from byline.api.payouts import Payee
from byline.errors import InvalidInput


def require_payable_account(payee: Payee) -> None:
    """Check the digits of an account's IBAN.

    Raises:
        InvalidInput: The check digits are wrong, or the country has IBANs of another form.
    """
    if not iban.is_valid(payee.iban):
        raise InvalidInput("expected an IBAN with right check digits, got another one")
