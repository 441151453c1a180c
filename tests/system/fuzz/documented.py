"""Requests that schemathesis makes from the OpenAPI document, in all its phases and with all its checks."""

import collections
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from schemathesis import hooks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case
from schemathesis.schemas import BaseSchema

CROSS_FIELD = (
    "attribute",
    "record_answer",
    "shares",
    "create_key",
    "book_event",
    "draft_run",
    "revise_policy",
    "place_hold",
    "end_hold",
    "record_party",
    "prepare_payout",
    "confirm_payout",
    "record_consents",
    "revise_rights",
)
"""Operations whose bodies obey rules that a JSON schema does not say: exactly one of several forms, a number
of features that the index's recipe sets, limits on their product, an idempotency key that came with another
body. They may refuse bodies that the schema allows."""
PAGED = (
    "get_alias_history",
    "get_policy",
    "list_aliases",
    "list_audit",
    "list_balances",
    "list_consents",
    "list_events",
    "list_examples",
    "list_holds",
    "list_indexes",
    "list_keys",
    "list_ledger",
    "list_line_events",
    "list_owner_accounts",
    "list_owner_statements",
    "list_owners",
    "list_parties",
    "list_payouts",
    "list_persons",
    "list_policies",
    "list_rosters",
    "list_runs",
    "list_self_influence",
    "list_signing_keys",
    "list_statements",
    "list_usage",
    "list_versions",
)
"""A cursor is any text to the schema, and only that of a page to the service."""
ACCEPTED = ("2xx", "401", "403", "404", "409", "412", "429", "503")
"""Statuses of documented requests: never 422, save for the operations above."""


@dataclass
class Findings:
    """Requests and answers of a run."""

    requests: "collections.Counter[str]" = field(default_factory=collections.Counter)
    """Requests by phase."""
    statuses: "collections.Counter[int]" = field(default_factory=collections.Counter)
    """Answers by status."""
    failures: dict[str, str] = field(default_factory=dict)
    """One example of each kind of failure: the expectation, and the request as a command of curl."""

    @property
    def sent(self) -> int:
        """Number of requests."""
        return self.requests.total()


def configuration(
    examples: int,
    seed: int,
    *,
    headers: dict[str, str] | None = None,
    values: Mapping[str, str] | None = None,
    max_seconds: int | None = None,
) -> SchemathesisConfig:
    """Configure a run that its seed determines.

    Args:
        examples: Requests for each operation in the fuzzing phase, and scenarios of the stateful one.
        seed: Of the generators.
        headers: Sent with each request: who asks.
        values: Of path parameters, drawn half of the time: random text would never meet them.
        max_seconds: Fuzz until this time is over.
    """
    lenient = {"checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "422"]}}}
    given: dict[str, Any] = {
        "seed": seed,
        "continue-on-failure": True,
        "headers": headers or {},
        "generation": {
            "max-examples": examples,
            "deterministic": max_seconds is None,
            "database": "none",
            "with-security-parameters": False,  # the check `ignored_auth` asks without and with wrong ones
        },
        "checks": {"positive_data_acceptance": {"expected-statuses": list(ACCEPTED)}},
        "operations": [{"include-operation-id": [*CROSS_FIELD, *PAGED], **lenient}],
    }
    kind, _, token = given["headers"].get("Authorization", "").partition(" ")
    if kind == "Bearer":  # known as a key, it is left out where a request without one must be refused
        given["headers"] = {name: value for name, value in headers.items() if name != "Authorization"}
        given["auth"] = {"openapi": {"key": {"bearer": token}}}
    if values:
        given |= _drawn_often(values)
    if max_seconds is not None:
        given["max-time"] = max_seconds
    return SchemathesisConfig.from_dict(given)


def _drawn_often(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "dictionaries": {name: {"values": [value]} for name, value in values.items()},
        "parameters": {f"path.{name}": {"dictionary": name, "probability": 0.5} for name in values},
    }


@contextmanager
def spared(key: str, victim: str) -> Iterator[None]:
    """Keep runs from ending the key that they ask with: another one is ended in its place.

    Args:
        key: The key's id.
        victim: Another one's.

    Yields:
        While that holds.
    """

    def before_call(context: object, case: Case, kwargs: dict[str, Any]) -> None:
        del context, kwargs
        if case.path_parameters.get("key_id") == key:
            case.path_parameters["key_id"] = victim

    hooks.hook(before_call)
    try:
        yield
    finally:
        hooks.unregister(before_call)


def run(schema: BaseSchema) -> Findings:
    """Run every phase: examples, coverage, fuzzing, stateful."""
    found = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(found, event)
        elif isinstance(event, events.NonFatalError):
            found.failures[f"error: {event.label}"] = str(event.info)
        elif isinstance(event, events.FatalError):
            raise event.exception
    return found


def _count(found: Findings, event: events.ScenarioFinished) -> None:
    for interaction in event.recorder.interactions.values():
        found.requests[event.phase.value] += 1
        if interaction.response is not None:
            found.statuses[interaction.response.status_code] += 1
    for name, words in _failures(event):
        found.failures.setdefault(name, words)


def _failures(event: events.ScenarioFinished) -> Iterator[tuple[str, str]]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                name = f"{check.name}: {failure.operation}"
                yield name, f"{failure.message}\n{check.failure_info.code_sample}"
