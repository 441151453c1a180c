"""Calls for payouts: their addresses and bodies, and files as bytes."""

import json

import httpx
import pytest

from byline.client import NEVER, Client, UnexpectedAnswer

RUN = "7" * 32


@pytest.fixture
def asked():
    """The requests that a client made."""
    return []


@pytest.fixture
def client(asked):
    def respond(request):
        asked.append(request)
        return httpx.Response(200, content=b"\xef\xbb\xbfowner;amount\r\n")

    with httpx.Client(transport=httpx.MockTransport(respond)) as http:
        yield Client("http://test", retries=NEVER, http=http)


@pytest.mark.parametrize(("method", "suffix"), [("payout_csv", "csv"), ("payout_transfer", "xml")])
def test_files_are_the_bytes_of_the_service(client, asked, method, suffix):
    assert getattr(client, method)(RUN) == b"\xef\xbb\xbfowner;amount\r\n"
    assert (asked[0].method, asked[0].url.path) == ("GET", f"/v1/payouts/{RUN}.{suffix}")


def test_amounts_are_sent_where_they_are_chosen(client, asked):
    for amounts in (None, {"ada": 5}):
        with pytest.raises(UnexpectedAnswer):
            client.prepare_payout("royalties", amounts)
    bodies = [json.loads(each.content) for each in asked]
    assert [each.get("amounts") for each in bodies] == [None, {"ada": 5}]
    assert all("Idempotency-Key" in each.headers for each in asked)
