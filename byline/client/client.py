"""The clients: one table of methods, to call or to await."""

from byline.client import accounts, attributions, compensation
from byline.client import consents as consents_
from byline.client import holds as holds_
from byline.client import indexes as indexes_
from byline.client import parties as parties_
from byline.client import payouts as payouts_
from byline.client import rights as rights_
from byline.client import versions as versions_
from byline.client.asynchronous import AsyncBase
from byline.client.methods import Listing, Method
from byline.client.synchronous import SyncBase


class _Methods:
    """Every operation of a Byline service."""

    ready = Method(indexes_.ready)
    indexes = Listing(indexes_.indexes)
    index = Method(indexes_.index)
    coverage = Method(indexes_.coverage)
    example = Method(indexes_.example)
    examples = Listing(indexes_.examples)
    image = Method(indexes_.image)
    owners = Listing(indexes_.owners)
    self_influence = Listing(indexes_.self_influence)

    versions = Listing(versions_.versions)
    version = Method(versions_.version)
    register_version = Method(versions_.register_version)
    verify_version = Method(versions_.verify_version)
    retire_version = Method(versions_.retire_version)
    aliases = Listing(versions_.aliases)
    alias = Method(versions_.alias)
    alias_history = Listing(versions_.alias_history)
    switch = Method(versions_.switch)
    roll_back = Method(versions_.roll_back)
    delete_alias = Method(versions_.delete_alias)

    attribute = Method(attributions.attribute)
    attribute_batch = Method(attributions.attribute_batch)
    attribute_set = Method(attributions.attribute_set)
    attribute_feature = Method(attributions.attribute_feature)
    attribute_tensors = Method(attributions.attribute_tensors)
    attribute_gradient = Method(attributions.attribute_gradient)
    shares = Method(attributions.shares)
    shares_of_set = Method(attributions.shares_of_set)
    shares_of_feature = Method(attributions.shares_of_feature)

    record_answer = Method(attributions.record_answer)
    recorded_answer = Method(attributions.recorded_answer)
    delete_answer = Method(attributions.delete_answer)

    book_event = Method(compensation.book_event)
    book_event_set = Method(compensation.book_event_set)
    book_event_feature = Method(compensation.book_event_feature)
    book_event_receipt = Method(compensation.book_event_receipt)
    book_event_tensors = Method(compensation.book_event_tensors)
    book_event_gradient = Method(compensation.book_event_gradient)
    signing_keys = Listing(compensation.signing_keys)
    events = Listing(compensation.events)
    event = Method(compensation.event)
    revise_policy = Method(compensation.revise_policy)
    policies = Listing(compensation.policies)
    policy = Listing(compensation.policy)
    record_roster = Method(compensation.record_roster)
    rosters = Listing(compensation.rosters)
    revise_rights = Method(rights_.revise_rights)
    rights = Method(rights_.rights)
    record_party = Method(parties_.record_party)
    parties = Listing(parties_.parties)
    party = Method(parties_.party)
    erase_party_details = Method(parties_.erase_party_details)
    draft_run = Method(compensation.draft_run)
    record_consents = Method(consents_.record_consents)
    consents = Listing(consents_.consents)
    place_hold = Method(holds_.place_hold)
    end_hold = Method(holds_.end_hold)
    holds = Listing(holds_.holds)
    hold = Method(holds_.hold)
    preview_run = Method(compensation.preview_run)
    approve_run = Method(compensation.approve_run)
    reject_run = Method(compensation.reject_run)
    post_run = Method(compensation.post_run)
    void_run = Method(compensation.void_run)
    runs = Listing(compensation.runs)
    run = Method(compensation.run)
    statements = Listing(compensation.statements)
    statement = Method(compensation.statement)
    statement_csv = Method(compensation.statement_csv)
    statement_pdf = Method(compensation.statement_pdf)
    line_events = Listing(compensation.line_events)
    owner_accounts = Listing(compensation.owner_accounts)
    owner_statements = Listing(compensation.owner_statements)
    ledger = Listing(compensation.ledger)
    verify_ledger = Method(compensation.verify_ledger)
    balances = Listing(compensation.balances)
    prepare_payout = Method(payouts_.prepare_payout)
    confirm_payout = Method(payouts_.confirm_payout)
    payout = Method(payouts_.payout)
    payouts = Listing(payouts_.payouts)
    payout_csv = Method(payouts_.payout_csv)
    payout_transfer = Method(payouts_.payout_transfer)

    caller = Method(accounts.caller)
    keys = Listing(accounts.keys)
    key = Method(accounts.key)
    persons = Listing(accounts.persons)
    create_key = Method(accounts.create_key)
    rotate_key = Method(accounts.rotate_key)
    revoke_key = Method(accounts.revoke_key)
    audit = Listing(accounts.audit)
    usage = Listing(accounts.usage)


class Client(_Methods, SyncBase):
    """A client of a Byline service: `with Client("https://byline.example.org", key) as client: ...`.

    The client repeats a safe call if the service is full, starting or unreachable: see `Retries`. Several threads can
    share one client.

    Args:
        url: Address of the service.
        key: API key. None sends no key.
        timeout: Seconds without a byte from the service before the client gives up.
        retries: Limits of repeated attempts.
        http: HTTP client with your own proxies and certificates. Byline does not close it.

    Raises:
        InvalidInput: The address or the key is invalid.
    """


class AsyncClient(_Methods, AsyncBase):
    """A client to await: `async with AsyncClient("https://byline.example.org", key) as client: ...`.

    It has the methods and arguments of `Client`. Its lists are for `async for`.
    """
