"""The page in a real browser, where there is one: what is untrusted stays text."""

import json
import shutil
import socket
import subprocess
import threading
from urllib.parse import urlencode

import pytest
import uvicorn

from service.app import create_app
from service.settings import Settings
from tests.service.fakes import fake_attributor
from tests.service.test_quality_card import CARD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
    "--virtual-time-budget=10000",
    "--dump-dom",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def address():
    """A server in a thread.

    Yields:
        Its address.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(log_level="error", baselines="bm25"), {"fake": fake_attributor(card=CARD)[0]})
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listening.close()


def page(address, tmp_path, **parameters):
    if "query" in parameters:
        parameters["query"] = json.dumps(parameters["query"])
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path}", f"{address}/?{urlencode(parameters)}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return ended.stdout


@pytest.mark.slow
def test_a_linked_query_is_answered_and_untrusted_text_stays_text(address, tmp_path):
    dom = page(address, tmp_path, index="fake", query={"text": "<img src=x onerror=alert(1)>"}, k=4)
    assert "4 training points found." in dom
    assert dom.count('<li class="card">') == 4
    assert "&lt;script&gt;alert(" in dom
    assert "<script>alert(" not in dom
    assert "<img src=x" not in dom
    assert "shares</h3>" in dom
    assert "Measured: LDS &lt;b&gt; .50 (.46 to .53), 100 queries" in dom
    assert 'href="https://example.org/' in dom


@pytest.mark.slow
def test_problems_are_shown_as_sentences(address, tmp_path):
    dom = page(address, tmp_path, index="fake", query={"text": ""})
    assert "The request cannot be understood. Expected a valid query: text: String should have" in dom
    assert '<li class="card">' not in dom


@pytest.mark.slow
def test_a_linked_ranking_by_similarity_is_named_as_such(address, tmp_path):
    dom = page(address, tmp_path, index="fake", query={"text": "hello number 7"}, k=4, baseline="bm25")
    assert "Ranked by similarity (BM25), not by influence" in dom
    assert "Most alike</h3>" in dom
    assert "shares</h3>" not in dom
    dom = page(address, tmp_path, index="fake", query={"text": "hello"}, baseline="representation")
    assert "This index does not offer the ranking in this address." in dom
    assert '<li class="card">' not in dom
