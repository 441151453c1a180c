"""Hosts' names and methods are checked before a route is reached."""


def test_every_method_of_an_address_is_allowed(served):
    assert served.client.put("/v1/keys").headers["allow"] == "GET, POST"
    assert served.client.put("/v1/indexes/fake/examples/a/b").headers["allow"] == "GET"


def test_other_hosts_names_are_refused(served):
    assert served.client.get("/livez", headers={"host": "10.0.0.1"}).status_code == 200  # a probe
    response = served.client.get("/docs", headers={"host": "evil.example"})
    assert response.status_code == 421
    assert response.json()["request_id"] == response.headers["x-request-id"]
    for own in ("[::1]:8000", "LOCALHOST", "LocalHost:8000", "127.0.0.1"):
        assert served.client.get("/docs", headers={"host": own}).status_code == 200
