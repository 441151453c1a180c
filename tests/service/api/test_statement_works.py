"""The works behind a statement's line, who sees them, and their page: links tell nothing, images are this server's."""

from fractions import Fraction

from tests.service.api.test_statement_runs import EVENTS, POLICY, QUERY
from tests.service.conftest import client_without_key
from tests.service.keys import bearer


def paid(api):
    """A posted run over three events. Returns its id and its statement."""
    assert api.post("/v1/policies", POLICY, as_="root").status_code == 201
    for weight, text in ((1, "hello"), (3, "another"), (2, "third")):
        asked = {"query": {"text": text, "label": 1}, "weight": weight}
        assert api.post(EVENTS, asked, key=text).status_code == 201
    run = api.posted()
    return run, api.get(f"/v1/statements/{run}").json()


def address(run, owner):
    return f"/v1/statements/{run}/owners/{owner}"


def narrow(api, owner):
    client = client_without_key(api.served.client)
    client.headers |= bearer(api.served.key_for(scopes=["read"], owners=[owner]))
    return client


def test_a_line_opens_to_events_and_works(api):
    run, statement = paid(api)
    for line in statement["lines"]:
        found = api.get(address(run, line["owner"])).json()
        assert (len(found["data"]), found["has_more"]) == (3, False)
        amount = sum(each["amount"] for each in found["data"])
        assert 0 <= line["earned"] + line["escrow"] - amount <= 3
        for each in found["data"]:
            booked = api.get(f"{EVENTS}/{each['event']}").json()
            (own,) = [share for share in booked["shares"] if share["owner"] == line["owner"]]
            assert (each["share"], each["score"]) == (own["share"], sum(own["scores"]))
            assert [{"example": w["example"], "score": w["score"]} for w in each["works"]] == own["works"]
            assert sum(work["score"] for work in each["works"]) + each["rest"] == each["score"]
            for work in each["works"]:
                row = int(work["example"].partition("#")[2])
                assert work["uri"] == f"https://example.org/{row}"
                assert work["preview"] == f"<script>alert({row})</script>"
                assert (work["image"] is not None) == (row % 4 == 0)
                if work["image"]:
                    assert api.get(work["image"]).status_code == 200
    whole = Fraction(sum(line["earned"] + line["escrow"] for line in statement["lines"]))
    assert whole == POLICY["pool"]


def test_pages_follow_one_another(api):
    run, statement = paid(api)
    path = address(run, statement["lines"][0]["owner"])
    whole = api.get(path).json()["data"]
    found, after = [], ""
    while True:
        page = api.get(f"{path}?limit=1{after}").json()
        assert len(page["data"]) == 1
        found += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert found == whole


def test_an_owners_key_sees_its_own_lines_of_posted_runs_alone(api):
    run, statement = paid(api)
    mine, other = (line["owner"] for line in statement["lines"][:2])
    client = narrow(api, mine)
    for page in ("/v1/statements", "/compensation/runs"):
        own = client.get(f"{page}/{run}/owners/{mine}")
        assert own.status_code == 200
        assert other not in own.text
        assert client.get(f"{page}/{run}/owners/{other}").status_code == 403
    api.post(EVENTS, QUERY, key="later")
    draft = api.draft()
    assert draft.status_code == 201, draft.text
    assert client.get(address(draft.json()["id"], mine)).status_code == 404


def test_unknown_runs_and_owners_are_not_found(api):
    run, _ = paid(api)
    assert api.get(address(run, "nobody")).status_code == 404
    assert api.get(address("0" * 32, "owner 1")).status_code == 404


def test_a_release_and_a_reversal_have_no_events(api):
    run, _ = paid(api)
    reversal = api.posted({"draft": {"kind": "reversal", "run": run, "reason": "wrong"}})
    owner = api.get(f"/v1/statements/{reversal}").json()["lines"][0]["owner"]
    assert api.get(address(reversal, owner)).json() == {"data": [], "next": None, "has_more": False}


def test_the_works_of_a_point_that_belongs_to_another_owner_by_now_stay_unnamed(api):
    run, statement = paid(api)
    owner = statement["lines"][0]["owner"]
    works = api.get(address(run, owner)).json()["data"][0]["works"]
    examples = api.served.app.state.service.attributors["fake"].index.examples
    row = examples.row_of(works[0]["example"])
    examples._examples[row] = examples._examples[row].model_copy(update={"owner": "another"})
    changed = api.get(address(run, owner)).json()["data"][0]["works"]
    assert changed[0] == {
        "example": works[0]["example"],
        "score": works[0]["score"],
        **dict.fromkeys(("label", "preview", "license", "uri", "image")),
    }
    assert changed[1:] == works[1:]


def set_uri(api, uri):
    examples = api.served.app.state.service.attributors["fake"].index.examples
    examples._examples[:] = [each.model_copy(update={"uri": uri}) for each in examples._examples]


def test_a_line_is_a_page_of_its_works(api):
    run, statement = paid(api)
    owner = statement["lines"][0]["owner"]
    assert (
        f'href="/compensation/runs/{run}/owners/{owner.replace(" ", "%20")}"'
        in api.get(f"/compensation/runs/{run}").text
    )
    shown = api.get(f"/compensation/runs/{run}/owners/{owner}").text
    events = api.get(f"/v1/statements/{run}/owners/{owner}").json()["data"]
    for work in (work for event in events for work in event["works"]):
        assert str(work["score"]) in shown
        assert (f'src="{work["image"]}"' in shown) if work["image"] else True
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown
    assert shown.count('rel="noopener noreferrer" referrerpolicy="no-referrer"') == 3 * 5


def test_only_web_addresses_are_links(api):
    run, statement = paid(api)
    owner = statement["lines"][0]["owner"]
    for uri in (
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//example.org",
        " https://example.org",
    ):
        set_uri(api, uri)
        shown = api.get(f"/compensation/runs/{run}/owners/{owner}").text
        assert f'href="{uri}' not in shown
        assert 'rel="noopener' not in shown
