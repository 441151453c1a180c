"""The clients: the same methods, to be called or to be awaited."""

from byline.client import accounts, attributions
from byline.client import compensation as paying
from byline.client import indexes as reading
from byline.client import versions as versioning
from byline.client.asynchronous import AwaitingShell, awaiting
from byline.client.asynchronous import paging as awaiting_pages
from byline.client.synchronous import BlockingShell, blocking
from byline.client.synchronous import paging as blocking_pages


class Client(BlockingShell):
    """Asks a Byline service: `with Client("https://byline.example.org", key) as client: ...`.

    Calls that do no more the second time are tried again where the service is full, starting or out of reach: see
    `Retries`. It may be used from several threads at once.
    """

    ready = blocking(reading.ready)
    indexes = blocking(reading.indexes)
    index = blocking(reading.index)
    coverage = blocking(reading.coverage)
    example = blocking(reading.example)
    examples = blocking_pages(reading.examples)
    owners = blocking_pages(reading.owners)
    self_influence = blocking_pages(reading.self_influence)

    versions = blocking_pages(versioning.versions)
    version = blocking(versioning.version)
    register_version = blocking(versioning.register_version)
    verify_version = blocking(versioning.verify_version)
    retire_version = blocking(versioning.retire_version)
    aliases = blocking_pages(versioning.aliases)
    alias = blocking(versioning.alias)
    alias_history = blocking_pages(versioning.alias_history)
    switch = blocking(versioning.switch)
    roll_back = blocking(versioning.roll_back)
    delete_alias = blocking(versioning.delete_alias)

    attribute = blocking(attributions.attribute)
    attribute_batch = blocking(attributions.attribute_batch)
    attribute_set = blocking(attributions.attribute_set)
    attribute_feature = blocking(attributions.attribute_feature)
    attribute_tensors = blocking(attributions.attribute_tensors)
    attribute_gradient = blocking(attributions.attribute_gradient)
    shares = blocking(attributions.shares)
    shares_of_set = blocking(attributions.shares_of_set)
    shares_of_feature = blocking(attributions.shares_of_feature)

    book_event = blocking(paying.book_event)
    book_event_set = blocking(paying.book_event_set)
    book_event_feature = blocking(paying.book_event_feature)
    book_event_tensors = blocking(paying.book_event_tensors)
    book_event_gradient = blocking(paying.book_event_gradient)
    events = blocking_pages(paying.events)
    event = blocking(paying.event)
    revise_policy = blocking(paying.revise_policy)
    policies = blocking_pages(paying.policies)
    policy = blocking(paying.policy)
    draft_run = blocking(paying.draft_run)
    approve_run = blocking(paying.approve_run)
    post_run = blocking(paying.post_run)
    void_run = blocking(paying.void_run)
    runs = blocking_pages(paying.runs)
    run = blocking(paying.run)
    statements = blocking_pages(paying.statements)
    statement = blocking(paying.statement)
    statement_csv = blocking(paying.statement_csv)
    ledger = blocking_pages(paying.ledger)
    verify_ledger = blocking(paying.verify_ledger)
    balances = blocking(paying.balances)

    caller = blocking(accounts.caller)
    keys = blocking_pages(accounts.keys)
    create_key = blocking(accounts.create_key)
    rotate_key = blocking(accounts.rotate_key)
    revoke_key = blocking(accounts.revoke_key)
    audit = blocking_pages(accounts.audit)
    usage = blocking_pages(accounts.usage)


class AsyncClient(AwaitingShell):
    """As `Client`, to be awaited: `async with AsyncClient("https://byline.example.org", key) as client: ...`."""

    ready = awaiting(reading.ready)
    indexes = awaiting(reading.indexes)
    index = awaiting(reading.index)
    coverage = awaiting(reading.coverage)
    example = awaiting(reading.example)
    examples = awaiting_pages(reading.examples)
    owners = awaiting_pages(reading.owners)
    self_influence = awaiting_pages(reading.self_influence)

    versions = awaiting_pages(versioning.versions)
    version = awaiting(versioning.version)
    register_version = awaiting(versioning.register_version)
    verify_version = awaiting(versioning.verify_version)
    retire_version = awaiting(versioning.retire_version)
    aliases = awaiting_pages(versioning.aliases)
    alias = awaiting(versioning.alias)
    alias_history = awaiting_pages(versioning.alias_history)
    switch = awaiting(versioning.switch)
    roll_back = awaiting(versioning.roll_back)
    delete_alias = awaiting(versioning.delete_alias)

    attribute = awaiting(attributions.attribute)
    attribute_batch = awaiting(attributions.attribute_batch)
    attribute_set = awaiting(attributions.attribute_set)
    attribute_feature = awaiting(attributions.attribute_feature)
    attribute_tensors = awaiting(attributions.attribute_tensors)
    attribute_gradient = awaiting(attributions.attribute_gradient)
    shares = awaiting(attributions.shares)
    shares_of_set = awaiting(attributions.shares_of_set)
    shares_of_feature = awaiting(attributions.shares_of_feature)

    book_event = awaiting(paying.book_event)
    book_event_set = awaiting(paying.book_event_set)
    book_event_feature = awaiting(paying.book_event_feature)
    book_event_tensors = awaiting(paying.book_event_tensors)
    book_event_gradient = awaiting(paying.book_event_gradient)
    events = awaiting_pages(paying.events)
    event = awaiting(paying.event)
    revise_policy = awaiting(paying.revise_policy)
    policies = awaiting_pages(paying.policies)
    policy = awaiting(paying.policy)
    draft_run = awaiting(paying.draft_run)
    approve_run = awaiting(paying.approve_run)
    post_run = awaiting(paying.post_run)
    void_run = awaiting(paying.void_run)
    runs = awaiting_pages(paying.runs)
    run = awaiting(paying.run)
    statements = awaiting_pages(paying.statements)
    statement = awaiting(paying.statement)
    statement_csv = awaiting(paying.statement_csv)
    ledger = awaiting_pages(paying.ledger)
    verify_ledger = awaiting(paying.verify_ledger)
    balances = awaiting(paying.balances)

    caller = awaiting(accounts.caller)
    keys = awaiting_pages(accounts.keys)
    create_key = awaiting(accounts.create_key)
    rotate_key = awaiting(accounts.rotate_key)
    revoke_key = awaiting(accounts.revoke_key)
    audit = awaiting_pages(accounts.audit)
    usage = awaiting_pages(accounts.usage)
