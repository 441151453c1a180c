"""Details of the OpenAPI document: every parameter is described, every body has an example, every 201 an address."""

import json

from jsonschema import Draft202012Validator

from byline_service.http.bodies import REQUEST_BODIES
from tests.service.api.test_locations import CREATED
from tests.service.api.test_openapi import operations


def test_every_parameter_is_described(served):
    for name, (_, _, operation) in operations(served.app.openapi()).items():
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_json_body_has_an_example_that_its_schema_allows(served):
    document = served.app.openapi()
    shown = 0
    for name, (_, _, operation) in operations(document).items():
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            continue
        body = content["application/json"]
        assert body.get("example"), name
        schema = {"$ref": body["schema"]["$ref"], "components": document["components"]}
        errors = list(Draft202012Validator(schema).iter_errors(body["example"]))
        assert not errors, (name, errors)
        model = REQUEST_BODIES.get(body["schema"]["$ref"].rpartition("/")[2])
        if model is not None:
            model.model_validate_json(json.dumps(body["example"]), strict=True)
        shown += 1
    assert shown >= 14


def test_an_example_that_the_schema_refuses_is_noticed(served):
    document = served.app.openapi()
    schema = {"$ref": "#/components/schemas/NewKeyBody", "components": document["components"]}
    assert not Draft202012Validator(schema).is_valid({"name": "laptop", "person": "ada", "scopes": ["own"]})


def test_every_created_entry_has_an_address(served):
    """The document declares it for each operation that answers 201. `test_locations.py` follows each."""
    created = {
        name
        for name, (_, _, operation) in operations(served.app.openapi()).items()
        if "201" in operation["responses"]
    }
    assert created == set(CREATED)
    for name in created:
        response = operations(served.app.openapi())[name][2]["responses"]["201"]
        assert response["headers"]["Location"]["description"], name
