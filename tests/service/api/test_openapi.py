"""The OpenAPI document says all that can happen: schemathesis makes requests from it and holds the answers to it."""

import json
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from schemathesis import openapi
from schemathesis.python.asgi import shutdown_lifespans

from byline.api.accounts import Scope
from byline_service.accounts.keys import new_key, parse_key
from byline_service.accounts.permissions import is_public
from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, prepared
from tests.system.fuzz import documented

OPERATIONS = Path(__file__).parent / "operations.json"
ALLOWED_METHODS = {"get", "post", "put", "patch", "delete"}


def operations(document):
    return {
        operation["operationId"]: (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ALLOWED_METHODS
    }


@pytest.fixture
def app(tmp_path):
    """Not started: schemathesis starts it, in a loop of its own.

    Yields:
        The application.
    """
    yield create_app(prepared(tmp_path), {"fake": fake_attributor()[0]})
    shutdown_lifespans()


@pytest.mark.slow
def test_every_phase_and_every_check_finds_nothing(app):
    headers = {"Host": "localhost"} | bearer(admin_key()) | bearer(admin_key())
    config = documented.configuration(3, seed=1, headers=headers)
    schema = openapi.from_asgi("/openapi.json", app, config=config, headers=headers)
    with documented.spared(parse_key(admin_key()).id, new_key().id):
        found = documented.run(schema)
    assert not found.failures, "\n\n".join(f"{name}\n{words}" for name, words in found.failures.items())
    assert set(found.requests) == {"examples", "coverage", "fuzzing", "stateful"}
    assert found.sent > 500
    assert found.statuses[200] > 50


def test_no_route_leaves_its_body_to_the_framework(served):
    """FastAPI takes NaN, lone surrogates and bodies without end, and its answer to one that is too large is 400."""
    for route in iter_route_contexts(served.app.routes):
        assert getattr(route, "body_field", None) is None, route.path


def test_operation_ids_are_stable(served):
    """Clients are generated from them. Whoever changes one on purpose changes the list as well."""
    found = {name: f"{method} {path}" for name, (method, path, _) in operations(served.app.openapi()).items()}
    assert found == json.loads(OPERATIONS.read_text())


def test_every_failure_is_a_declared_problem_document(served):
    for name, (_, _, operation) in operations(served.app.openapi()).items():
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (name, status)
            if int(status) in {429, 503}:
                assert "Retry-After" in response["headers"], (name, status)


def test_the_reference_names_every_endpoint_and_metric(served):
    page = (OPERATIONS.parents[3] / "docs" / "service.md").read_text()
    for _, path, _ in operations(served.app.openapi()).values():
        *_, last = parts = path.split("/")
        collection = "/".join(parts[:3]) if path.startswith("/v1") else path
        assert collection in page, path
        assert last.startswith("{") or f"/{last}" in page, path
    for family in served.app.state.service.metrics.registry.collect():
        assert not family.name.startswith("byline_") or f"`{family.name}" in page, family.name


@pytest.mark.parametrize("name", documented.CROSS_FIELD + documented.PAGED)
def test_operations_that_may_refuse_what_the_schema_allows_exist(served, name):
    assert name in operations(served.app.openapi())


def test_the_document_shows_no_values_of_a_payload(serve):
    """Anyone may read it. An example of a payload may be a training row."""
    attributor, _ = fake_attributor()
    payload = attributor.task.query.payload
    payload.model_fields["text"].examples = ["a training row"]
    payload.model_rebuild(force=True)
    try:
        served = serve({"fake": attributor})
        document = served.client.get("/openapi.json").json()
        assert "a training row" not in json.dumps(document)
        assert "text" in document["components"]["schemas"]["Query_fake"]["properties"]
        assert "a training row" in served.client.get("/v1/indexes/fake").text
    finally:
        payload.model_fields["text"].examples = None
        payload.model_rebuild(force=True)


def test_every_operation_has_a_described_tag_and_states_its_scope(served):
    document = served.app.openapi()
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    used = set()
    for name, (_, path, operation) in operations(document).items():
        used |= set(operation["tags"])
        if is_public(path):
            assert "x-scope" not in operation, name
            continue
        scope = operation["x-scope"]
        stated = "any valid key" if scope is None else f"`{scope}`"
        assert (
            f"Needs {'' if scope is None else 'a key with the scope '}{stated}" in operation["description"]
        ), name
        assert scope is None or scope in set(Scope), name
    assert used == described
