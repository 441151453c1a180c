"""The reference declares each index's query and every failure."""

import json

from byline.api.query import AttributionOptions


def test_openapi_declares_every_failure_and_each_indexs_query(served):
    document = served.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["Query_fake"]["properties"]["text"]["maxLength"] == 500
    ask = document["paths"]["/v1/indexes/{name}/attributions"]["post"]
    refused = {"400", "401", "403", "404", "413", "415", "421", "422", "429", "500", "503", "504"}
    assert set(ask["responses"]) == {"200"} | refused
    assert set(ask["requestBody"]["content"]) == {"application/json", "application/vnd.safetensors"}
    assert {"$ref": "#/components/schemas/Query_fake"} in schemas["AttributionBody"]["properties"]["query"][
        "anyOf"
    ]
    operations = [op for path in document["paths"].values() for op in path.values()]
    for op in operations:
        for status, response in op["responses"].items():
            if status[0] in "45":
                assert list(response["content"]) == ["application/problem+json"]
    text = json.dumps(document)
    names = {ref.split('"')[0] for ref in text.split("#/components/schemas/")[1:]}
    assert names <= set(schemas), "a reference leads nowhere"
    assert set(AttributionOptions.model_fields) <= set(schemas["AttributionBody"]["properties"])
