"""Who may ask what, written by hand: the routes' own declarations are held to it, so that none is loosened unseen."""

from dataclasses import dataclass

from byline.api.accounts import Scope


@dataclass(frozen=True)
class Needs:
    """What a route asks of its caller."""

    scope: Scope | None
    """None: any valid key will do."""
    owner_scoped: bool = False
    """Whether keys that see some owners only are let in."""


PUBLIC = None
QUERY, READ, COMPENSATE = Needs(Scope.QUERY), Needs(Scope.READ), Needs(Scope.COMPENSATE)
APPROVE, ADMIN = Needs(Scope.APPROVE), Needs(Scope.ADMIN)
SIGNED_IN = Needs(None, owner_scoped=True)
OWN = Needs(Scope.READ, owner_scoped=True)
"""Readers of some owners too: the route shows them their owners' alone."""

PERMISSIONS: dict[tuple[str, str], Needs | None] = {
    ("GET", "/livez"): PUBLIC,
    ("HEAD", "/livez"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("HEAD", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,  # to this machine only; see test_authorisation
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/static"): PUBLIC,
    ("GET", "/login"): PUBLIC,
    ("POST", "/login"): PUBLIC,
    ("POST", "/logout"): SIGNED_IN,
    ("POST", "/v1/indexes/{name}/answers"): QUERY,
    ("GET", "/v1/answers/{answer_id}"): READ,
    ("DELETE", "/v1/answers/{answer_id}"): QUERY,
    ("GET", "/answers/{answer_id}"): READ,
    ("GET", "/"): OWN,  # sent on to their statements
    ("GET", "/compensation"): OWN,
    ("GET", "/compensation/ledger"): OWN,
    ("GET", "/compensation/ledger.csv"): OWN,
    ("GET", "/compensation/owners.csv"): OWN,
    ("GET", "/compensation/periods.csv"): OWN,
    ("GET", "/compensation/owner"): OWN,
    ("GET", "/compensation/owners"): OWN,
    ("GET", "/compensation/policies"): READ,
    ("GET", "/compensation/compare"): OWN,
    ("GET", "/compensation/holds"): READ,
    ("GET", "/compensation/consents"): READ,
    ("GET", "/compensation/audit"): READ,
    ("GET", "/compensation/rights"): READ,
    ("GET", "/compensation/rights.csv"): READ,
    ("GET", "/compensation/parties"): READ,
    ("GET", "/compensation/payouts"): READ,
    ("GET", "/compensation/keys"): ADMIN,
    ("GET", "/start"): OWN,
    ("GET", "/compensation/runs/{run}"): OWN,
    ("GET", "/usage"): READ,
    ("GET", "/usage.csv"): READ,
    ("GET", "/indexes"): READ,
    ("GET", "/indexes/{name}"): READ,
    ("GET", "/indexes/{name}/licenses.csv"): READ,
    ("GET", "/indexes/{name}/owners.csv"): READ,
    ("GET", "/indexes/{name}/quality.csv"): READ,
    ("GET", "/indexes/{name}/self-influence.csv"): READ,
    ("GET", "/v1/indexes"): OWN,
    ("GET", "/v1/indexes/{name}"): OWN,
    ("GET", "/v1/indexes/{name}/coverage"): READ,
    ("GET", "/v1/indexes/{name}/examples"): OWN,
    ("GET", "/v1/indexes/{name}/examples/{example_id}"): OWN,
    ("GET", "/v1/indexes/{name}/images/{example_id}"): OWN,
    ("GET", "/v1/indexes/{name}/owners"): OWN,
    ("GET", "/v1/indexes/{name}/self-influence"): OWN,
    ("GET", "/v1/indexes/{name}/versions"): READ,
    ("GET", "/v1/indexes/{name}/versions/{version}"): READ,
    ("POST", "/v1/indexes/{name}/versions"): ADMIN,
    ("POST", "/v1/indexes/{name}/versions/{version}/verify"): ADMIN,
    ("POST", "/v1/indexes/{name}/versions/{version}/retire"): ADMIN,
    ("GET", "/v1/aliases"): READ,
    ("GET", "/v1/aliases/{alias}"): READ,
    ("GET", "/v1/aliases/{alias}/history"): READ,
    ("PUT", "/v1/aliases/{alias}"): ADMIN,
    ("POST", "/v1/aliases/{alias}/rollback"): ADMIN,
    ("DELETE", "/v1/aliases/{alias}"): ADMIN,
    ("GET", "/v1/audit"): ADMIN,
    ("GET", "/v1/caller"): SIGNED_IN,
    ("GET", "/v1/keys"): ADMIN,
    ("GET", "/v1/keys/{key_id}"): ADMIN,
    ("GET", "/v1/persons"): ADMIN,
    ("POST", "/v1/keys"): ADMIN,
    ("DELETE", "/v1/keys/{key_id}"): ADMIN,
    ("POST", "/v1/keys/{key_id}/rotate"): ADMIN,
    ("GET", "/v1/usage"): READ,
    ("POST", "/v1/indexes/{name}/attributions"): QUERY,
    ("POST", "/v1/indexes/{name}/shares"): QUERY,
    ("GET", "/v1/indexes/{name}/events"): READ,
    ("GET", "/v1/indexes/{name}/events/{event_id}"): READ,
    ("POST", "/v1/indexes/{name}/events"): COMPENSATE,
    ("GET", "/v1/signing-keys"): SIGNED_IN,
    ("GET", "/v1/policies"): READ,
    ("GET", "/v1/policies/{policy}"): READ,
    ("POST", "/v1/policies"): ADMIN,
    ("GET", "/v1/indexes/{name}/rosters"): READ,
    ("POST", "/v1/indexes/{name}/rosters"): COMPENSATE,
    ("GET", "/v1/consents"): READ,
    ("POST", "/v1/consents"): COMPENSATE,
    ("GET", "/v1/holds"): READ,
    ("GET", "/v1/holds/{hold}"): READ,
    ("POST", "/v1/holds"): COMPENSATE,
    ("POST", "/v1/holds/{hold}/end"): APPROVE,
    ("GET", "/v1/indexes/{name}/rights"): READ,
    ("POST", "/v1/indexes/{name}/rights"): ADMIN,
    ("GET", "/v1/parties"): OWN,
    ("GET", "/v1/parties/{party}"): OWN,
    ("POST", "/v1/parties"): ADMIN,
    ("DELETE", "/v1/parties/{party}/details"): ADMIN,
    ("GET", "/v1/statement-runs"): READ,
    ("GET", "/v1/statement-runs/preview"): COMPENSATE,
    ("GET", "/v1/statement-runs/{run}"): READ,
    ("POST", "/v1/statement-runs"): COMPENSATE,
    ("POST", "/v1/statement-runs/{run}/approve"): APPROVE,
    ("POST", "/v1/statement-runs/{run}/reject"): APPROVE,
    ("POST", "/v1/statement-runs/{run}/post"): APPROVE,
    ("POST", "/v1/statement-runs/{run}/void"): COMPENSATE,
    ("GET", "/v1/statements"): OWN,
    ("GET", "/v1/statements/{run}"): OWN,
    ("GET", "/v1/statements/{run}.csv"): OWN,
    ("GET", "/v1/statements/{run}/print"): OWN,
    ("GET", "/v1/statements/{run}/pdf"): OWN,
    ("GET", "/v1/statement-lines"): OWN,
    ("GET", "/v1/ledger/owners"): OWN,
    ("POST", "/v1/payouts"): COMPENSATE,
    ("POST", "/v1/payouts/{run}/confirm"): APPROVE,
    ("GET", "/v1/payouts"): READ,
    ("GET", "/v1/payouts/{run}"): READ,
    ("GET", "/v1/payouts/{run}.csv"): READ,
    ("GET", "/v1/payouts/{run}.xml"): APPROVE,
    ("GET", "/v1/statements/{run}/owners/{owner}"): OWN,
    ("GET", "/compensation/runs/{run}/owners/{owner}"): OWN,
    ("GET", "/v1/ledger"): OWN,
    ("GET", "/v1/ledger/balances"): OWN,
    ("GET", "/v1/ledger/verification"): APPROVE,
}
"""Each route of the application. Whoever adds one writes here who may ask it."""
