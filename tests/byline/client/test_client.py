"""The clients have every operation of the API, at its address, and both have the same."""

import inspect
import re

import torch

from byline.api.consents import ConsentRow
from byline.api.holds import HoldBody
from byline.api.parties import PartyBody
from byline.api.receipts import Receipt
from byline.client import (
    AllocationBody,
    AsyncClient,
    Client,
    NewKeyBody,
    PolicyBody,
    Scope,
    accounts,
    attributions,
    compensation,
    consents,
    holds,
    indexes,
    parties,
    payouts,
    rights,
    versions,
)
from byline.client.calls import Pages

WITHOUT = {"livez", "metrics", "print_statement"}
"""What orchestrators, Prometheus and browsers read."""
GIVEN = {
    "query": {},
    "queries": [{}],
    "feature": [1.0],
    "tensors": {"c0/w": torch.zeros(1)},
    "draft": AllocationBody(kind="allocation", policy="some"),
    "value_date": "2026-04-03",
    "receipt": Receipt.model_construct(),
    "wanted": NewKeyBody(name="some", person="Ada", scopes=[Scope.READ]),
}
BODIES = {
    compensation.revise_policy: {"policy": PolicyBody(name="some", currency="EUR", pool=1)},
    consents.record_consents: {"consents": [ConsentRow.model_construct(owner="some")]},
    holds.place_hold: {"hold": HoldBody.model_construct(reason="some")},
    parties.record_party: {"party": PartyBody(name="some")},
}
MODULES = (accounts, attributions, compensation, consents, holds, indexes, parties, payouts, rights, versions)


def public(kind):
    methods = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    return {name: method for name, method in methods.items() if hasattr(method, "__wrapped__")}


def first_call(build):
    arguments = {
        name: GIVEN.get(name, "some")
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    built = build(**(arguments | BODIES.get(build, {})))
    return built.page("x") if isinstance(built, Pages) else next(built)


def test_every_operation_has_a_method(served):
    operations = {
        (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$")): operation
        for path, methods in served.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    reached = set()
    for name, method in public(Client).items():
        call = first_call(method.__wrapped__)
        found = [
            each for (verb, path), each in operations.items() if verb == call.method and path.match(call.path)
        ]
        assert found, f"{name} asks {call.method} {call.path}, which the API does not have"
        reached |= {each["operationId"] for each in found}
        known = {each["name"] for operation in found for each in operation.get("parameters", ())}
        assert {parameter for parameter, _ in call.query} <= known, name
    assert reached == {each["operationId"] for each in operations.values()} - WITHOUT


def test_both_clients_have_the_same_methods_and_words():
    blocking, awaiting = public(Client), public(AsyncClient)
    assert list(blocking) == list(awaiting)
    for name, method in blocking.items():
        assert method.__wrapped__ is awaiting[name].__wrapped__
        assert method.__doc__
        own, other = (inspect.signature(each) for each in (method, awaiting[name]))
        assert own.parameters == other.parameters
    built = {method.__wrapped__ for method in blocking.values()}
    flows = {
        function
        for module in MODULES
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and name[0] != "_"
    }
    assert flows == built, "each flow is a method of the clients"
