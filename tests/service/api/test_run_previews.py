"""A preview is the draft that would be made, and leaves no record."""

from tests.service.office import office


def test_a_preview_is_the_draft_and_stores_nothing(tmp_path):
    def booked(books):
        books.policy(pool=100_000, floor=6_000)
        books.book({"a": (4, 5, 4), "b": (2, 2, 3)}, index="fake")
        return books.clock.end_month()

    with office(tmp_path, booked) as found:
        ask = {"params": {"policy": "royalties"}}
        seen = found.client.get("/v1/statement-runs/preview", **ask).json()
        assert found.client.get("/v1/statement-runs").json()["data"] == []
        body = {"draft": {"kind": "allocation", "policy": "royalties", "period": found.runs}}
        run = found.client.post("/v1/statement-runs", json=body, headers={"Idempotency-Key": "k"}).json()
        statement = found.client.get(f"/v1/statements/{run['id']}").json()
        for name in ("period", "since", "until", "events", "late", "totals", "warnings", "revision"):
            assert seen[name] == statement[name], name
        assert (seen["owners"], seen["refused"]) == (len(statement["lines"]), len(statement["refused"]))
        missing = found.client.get(
            "/v1/statement-runs/preview", params={"policy": "royalties", "period": "2001-01"}
        )
        assert missing.status_code == 422
        reader = found.key_for(scopes=["read"])
        assert found.get("/v1/statement-runs/preview?policy=royalties", reader).status_code == 403
