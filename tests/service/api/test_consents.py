"""Consents over HTTP, and answers that no longer list a work."""

QUERY = {"query": {"text": "hello", "label": 1}, "k": 5, "direction": "both", "shares": True}
SINCE = "2020-03-01T00:00:00Z"


def ask(api):
    api.keys["asker"] = api.keys.get("asker") or api.served.key_for(scopes=["query"], person="asker")
    return api.post("/v1/indexes/fake/attributions", QUERY, as_="asker").json()


def listed(answer):
    return [each["example"]["id"] for each in answer["proponents"] + answer["opponents"]]


def test_a_work_under_takedown_is_not_listed(api):
    service = api.served.app.state.service
    service.consents.clock = lambda: 1.0
    before = ask(api)
    assert before["coverage"]["withheld"] == 0
    first = before["proponents"][0]["example"]
    row = {"owner": first["owner"], "index": "fake", "work": first["id"], "status": "prohibited"}
    body = {"consents": [row | {"since": SINCE, "source": "letter"}]}
    made = api.post("/v1/consents", body)
    assert (made.status_code, made.json()["recorded"]) == (201, 1), made.text
    assert listed(ask(api)) == listed(before), "consents are kept for some seconds"
    service.consents.clock = lambda: 7.0
    after = ask(api)
    assert listed(after) == [each for each in listed(before) if each != first["id"]]
    assert after["coverage"]["withheld"] == len(listed(before)) - len(listed(after)) > 0
    assert after["proponents"][0]["rank"] == 2
    assert after["shares"] == before["shares"]
    (found,) = api.get("/v1/consents?index=fake").json()["data"]
    assert (found["work"], found["status"], found["person"]) == (first["id"], "prohibited", "ada")
    assert api.get("/v1/consents?index=other").json()["data"] == []


def test_all_works_of_an_owner(api):
    owner = ask(api)["proponents"][0]["example"]["owner"]
    row = {"owner": owner, "index": "fake", "status": "expired", "since": SINCE, "source": "contract"}
    api.post("/v1/consents", {"consents": [row]})
    api.served.app.state.service.consents.clock = lambda: 1e12
    answer = ask(api)
    assert owner not in {each["example"]["owner"] for each in answer["proponents"] + answer["opponents"]}


def test_what_is_refused(api):
    row = {"owner": "owner 1", "index": "fake", "status": "prohibited", "since": SINCE, "source": "letter"}
    for change in ({"status": "unknown"}, {"since": "2020-03-01T00:00:00"}, {"source": ""}, {"index": None}):
        assert api.post("/v1/consents", {"consents": [row | change]}).status_code == 422, change
    assert api.post("/v1/consents", {"consents": []}).status_code == 422
    assert api.post("/v1/consents", {"consents": [row]}, as_="grace").status_code == 403
    assert api.get("/v1/consents", as_="ash").status_code == 403
