"""Calls for payouts. Their approval, posting, rejection and void are those of statement runs."""

from collections.abc import Mapping, Sequence
from typing import Unpack

from byline.api.page import Page
from byline.api.payouts import ConfirmationBody, Payee, PayoutBody, PayoutDocument
from byline.client.calls import Flow, Pages, document, get, one, path_of
from byline.client.once import Once, once, sent


def prepare_payout(
    policy: str,
    amounts: Mapping[str, int] | None = None,
    payees: Mapping[str, Payee] | None = None,
    **how: Unpack[Once],
) -> Flow[PayoutDocument]:
    """Prepare a payout of what is payable under a policy. Another person approves and posts its run.

    Args:
        policy: Name of the policy.
        amounts: Minor units by owner. None pays the whole balance of every owner without a hold.
        payees: Accounts by owner, for a file for the bank.
        **how: Idempotency key.
    """
    chosen = None if amounts is None else dict(amounts)
    body = PayoutBody(policy=policy, amounts=chosen, payees=dict(payees or {}))
    return one(once("payouts", document_of=PayoutDocument, body=sent(body), how=how))


def confirm_payout(
    run: str, reference: str, value_date: str, returned: Sequence[str] = (), **how: Unpack[Once]
) -> Flow[PayoutDocument]:
    """Book a posted payout as paid, by the bank's statement.

    Args:
        run: Id of the payout.
        reference: Reference of the bank.
        value_date: Value date of the transfer: `2026-04-03`.
        returned: Owners whose transfer the bank returned.
        **how: Idempotency key.
    """
    body = ConfirmationBody(reference=reference, value_date=value_date, returned=list(returned))
    return one(once("payouts", run, "confirm", document_of=PayoutDocument, body=sent(body), how=how))


def payout(run: str) -> Flow[PayoutDocument]:
    """Read a payout by its id."""
    return get(path_of("payouts", run), document(PayoutDocument))


def payouts(page_size: int | None = None) -> Pages[PayoutDocument]:
    """Iterate over the payouts, newest first.

    Args:
        page_size: Number of payouts to fetch at a time.
    """
    return Pages(path=path_of("payouts"), document=Page[PayoutDocument], page_size=page_size)


def payout_csv(run: str) -> Flow[bytes]:
    """Read the transfers of a payout as CSV for a spreadsheet.

    Args:
        run: Id of the payout.
    """
    return get(f"{path_of('payouts', run)}.csv", bytes)


def payout_transfer(run: str) -> Flow[bytes]:
    """Read a posted payout as a credit transfer for a bank: XML, pain.001.001.03.

    Args:
        run: Id of the payout.
    """
    return get(f"{path_of('payouts', run)}.xml", bytes)
