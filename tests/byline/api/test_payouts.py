"""Accounts of payees, and confirmations of a bank."""

import pytest
from pydantic import ValidationError

from byline.api.payouts import ConfirmationBody, Payee


def test_accounts_have_the_form_of_ibans():
    assert Payee(name="Ash", iban="DE89370400440532013000", bic="COBADEFFXXX").bic == "COBADEFFXXX"
    for iban in ("de89370400440532013000", "DE89 3704 0044", "DE89", "DE8937040044053201300\n"):
        with pytest.raises(ValidationError):
            Payee(name="Ash", iban=iban)


def test_a_value_date_is_a_day():
    for day in ("20260403", "2026-04-03T00:00", "2026-4-3", ""):
        with pytest.raises(ValidationError):
            ConfirmationBody(reference="B 1", value_date=day)
