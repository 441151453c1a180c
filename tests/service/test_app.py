"""What every endpoint answers over a fake index: the same as the Attributor offline."""

import asyncio
import threading
from pathlib import Path

from starlette.testclient import TestClient

import byline_service
from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import prepared

ASK = "/v1/indexes/fake/attributions"


def test_health_and_metrics(served):
    assert served.client.get("/livez").json() == {"status": "ok"}
    assert served.client.get("/readyz").json() == {"status": "ready"}
    served.client.post(ASK, json={"query": {"text": "hello"}})
    text = served.client.get("/metrics").text
    assert 'byline_stage_seconds_count{index="fake",stage="search"} 1.0' in text
    assert "byline_batch_queries" in text
    assert 'route="/v1/indexes/{name}/attributions",status="200"' in text


def test_closed_means_not_ready_and_no_new_questions(served):
    served.app.state.service.admission.close()
    for response in (
        served.client.get("/readyz"),
        served.client.post(ASK, json={"query": {"text": "hello"}}),
    ):
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
    assert served.client.get("/livez").status_code == 200


def test_pages_load_nothing_from_elsewhere(served):
    for path in ("/", "/docs", "/login", "/indexes", "/indexes/fake"):
        response = served.client.get(path)
        assert response.status_code == 200
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "<script>" not in response.text
        assert " style=" not in response.text
        assert "//" not in response.text.replace("<!--", "").split("<main")[0]
    for path in (Path(byline_service.__file__).parent / "static").iterdir():
        if path.is_file():
            response = served.client.get(f"/static/{path.name}")
            assert response.status_code == 200
            assert "innerHTML" not in response.text


def test_health_is_also_told_to_head_requests(served):
    for path in ("/livez", "/readyz"):
        assert served.client.head(path).status_code == 200
    served.app.state.service.admission.close()
    assert served.client.head("/readyz").status_code == 503


def test_connections_are_closed_after_what_uses_them_has_ended(tmp_path):
    app, order, looking = (
        create_app(prepared(tmp_path), {"fake": fake_attributor()[0]}),
        [],
        threading.Event(),
    )
    service = app.state.service
    dispose = service.database.dispose

    async def poll():
        looking.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)  # as a driver that ends its statement
            order.append("follower ended")

    async def noted():
        order.append("closed")
        await dispose()

    service.follower.poll, service.database.dispose = poll, noted
    with TestClient(app, base_url="http://localhost"):
        assert looking.wait(20)
    assert order == ["follower ended", "closed"]
