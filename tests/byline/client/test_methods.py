"""One table makes the methods of both clients: called on the one, awaited on the other."""

import asyncio
import inspect
import pydoc

import httpx

from byline.client import NEVER, AsyncClient, Client
from byline.client.client import _Methods

LIST = {"data": [], "next": None, "has_more": False}
OWNERS = {
    None: {"data": [{"owner": "ada", "examples": 1, "licenses": []}], "next": "ada", "has_more": True},
    "ada": {"data": [{"owner": "bob", "examples": 2, "licenses": []}], "next": None, "has_more": False},
}


def respond(request):
    if request.url.path == "/v1/indexes":
        return httpx.Response(200, json=LIST)
    return httpx.Response(200, json=OWNERS[request.url.params.get("after")])


def test_one_table_is_called_and_awaited():
    with httpx.Client(transport=httpx.MockTransport(respond)) as http:
        client = Client("http://test", retries=NEVER, http=http)
        assert list(client.indexes()) == []
        assert [each.owner for each in client.owners("some")] == ["ada", "bob"]
        assert client.indexes.__self__ is client

    async def awaited():
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
            client = AsyncClient("http://test", retries=NEVER, http=http)
            assert [each async for each in client.indexes()] == []
            return [each.owner async for each in client.owners("some")]

    assert asyncio.run(awaited()) == ["ada", "bob"]


def test_the_class_decides_between_the_forms():
    assert inspect.iscoroutinefunction(AsyncClient.attribute)
    assert not inspect.iscoroutinefunction(Client.attribute)
    assert inspect.isasyncgenfunction(AsyncClient.owners)
    assert inspect.isgeneratorfunction(Client.owners)
    for name in vars(_Methods):
        assert (
            name.startswith("_")
            or getattr(Client, name).__wrapped__ is getattr(AsyncClient, name).__wrapped__
        )


def test_help_shows_each_methods_own_words_and_arguments():
    for kind in (Client, AsyncClient):
        written = pydoc.render_doc(kind.attribute, renderer=pydoc.plaintext)
        assert "attribute(self, /, index: str, query:" in written
        assert "-> byline.api.answer.Answer" in written
        assert "Find the most influential training points of one query." in written
        assert "attribute(self, /, index: str, query:" in pydoc.render_doc(kind, renderer=pydoc.plaintext)
    assert list(inspect.signature(Client).parameters) == list(inspect.signature(AsyncClient).parameters)


def test_connections_that_were_given_stay_open():
    http = httpx.Client(transport=httpx.MockTransport(respond))
    with Client("http://test", http=http):
        pass
    assert not http.is_closed
    http.close()
    with Client("http://test") as own:
        opened = own._http
    assert opened.is_closed
