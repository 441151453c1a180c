"""A real server process over a real index: the offline answers, logs without content, and a clean end."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import BylineError
from byline_indexer.build.build import build
from byline_indexer.config import load_config
from tests.service.keys import bearer, empty_sqlite, printed_key

TASK = Path(__file__).parent.parent / "indexer" / "tiny_task.py"
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0]}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "tiny_task.py").write_text(TASK.read_text())
    (folder / "build.toml").write_text(
        'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = 24\n'
        '[recipe.members]\nmasks = 2\n[index]\npath = "index"\n'
    )
    build(load_config(folder / "build.toml"))
    return folder / "index"


@pytest.fixture
def server(index, tmp_path):
    """Starts `serve`; yields its address, its process and where it logs.

    Yields:
        Address, process, log file.
    """
    log = tmp_path / "log"
    command = [
        sys.executable,
        "-m",
        "byline",
        "serve",
        f"named={index}",
        "--port",
        "0",
        "--threads",
        "1",
    ]
    environment = os.environ | {
        "BYLINE_DRAIN_SECONDS": "0.5",
        "OMP_NUM_THREADS": "1",
        "BYLINE_DATA_DIR": str(tmp_path / "data"),
    }
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        line = process.stdout.readline()
        assert " at http://127.0.0.1:" in line, log.read_text()
        address = line.split(" at ")[1].split()[0].rstrip("/")
        try:
            yield address, process, log
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)
            process.stdout.close()


def test_the_served_answer_is_the_offline_answer_and_sigterm_ends_with_0(server, index):
    address, process, log = server
    ask = f"{address}/v1/indexes/named/attributions"
    options = {"k": 4, "direction": "both", "shares": True, "members": True}
    with httpx.Client(timeout=20, headers=bearer(printed_key(process.stdout))) as client:
        ready(client, address)
        answer = client.post(ask, json={"query": QUERY, **options}).json()
        assert client.get(f"{address}/readyz").status_code == 200
        assert client.post(ask, content=b"\xff" * 100).status_code == 415
        huge = client.post(
            ask, content=iter([b"x" * (1 << 20)] * 50), headers={"content-type": "application/json"}
        )
        assert huge.status_code == 413
        process.send_signal(signal.SIGTERM)
        draining(client, address)
    assert process.wait(20) == 0
    offline = Attributor.open(index, name="named").attribute(AttributionRequest(query=QUERY, **options))
    expected = offline.model_dump(mode="json")
    del answer["timings"], expected["timings"]
    assert answer.pop("receipt") is not None
    assert expected.pop("receipt") is None, "the service alone signs"
    assert answer == expected
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert {"method", "route", "status", "milliseconds", "request_id"} <= set(requests[0])
    assert "point number" not in log.read_text()


def ready(client, address):
    for _ in range(200):
        try:
            if client.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.ConnectError:
            pass
    raise AssertionError("never ready")


def draining(client, address):
    """`/readyz` says 503 before connections are refused."""
    seen = set()
    for _ in range(100_000):
        try:
            answer = client.get(f"{address}/readyz")
        except httpx.ConnectError:
            break  # and nothing else: no request that was taken is cut off
        seen.add((answer.status_code, answer.headers.get("connection")))
    assert (503, "close") in seen


@pytest.fixture
def refused(index, tmp_path, monkeypatch):
    """Runs `serve` in this process, and returns why it does not start; `refused.data` is its data folder."""
    monkeypatch.setenv("BYLINE_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments):
        ended = CliRunner().invoke(compose(), ["serve", str(index), "--without-task", *arguments])
        assert isinstance(ended.exception, BylineError), ended.output
        return f"{ended.output}{ended.exception}"

    run.data = tmp_path / "data"
    return run


OTHERS = ("--host", "0.0.0.0")  # noqa: S104 - it must be refused


def test_another_host_is_refused_before_the_index_is_opened(refused, monkeypatch):
    without_name = refused(*OTHERS)
    monkeypatch.setenv("BYLINE_ALLOWED_HOSTS", "byline.example.org")
    without_key = refused(*OTHERS)
    assert "expected BYLINE_ALLOWED_HOSTS" in without_name
    assert "byline keys create" in without_key
    assert "Opening" not in without_name + without_key


def test_no_key_is_made_that_is_never_shown(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen" in refused("--port", str(taken.getsockname()[1]))
    with closing(sqlite3.connect(refused.data / "byline.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM keys").fetchone() == (0,)


@pytest.mark.slow
def test_processes_that_start_on_one_data_folder_share_it(index, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "BYLINE_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "byline", "serve", str(index), "--port", "0", "--without-task"]
    started = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        for _ in range(2)
    ]
    try:
        addresses = [process.stdout.readline().split(" at ")[1].split()[0] for process in started]
        for process in started:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in started] == [0, 0]
        printed = "".join(process.stdout.read() for process in started)
    finally:
        for process in started:
            process.kill()
            process.wait(20)
            process.stdout.close()
    assert addresses[0] != addresses[1]
    assert printed.count("Key, shown this once") == 1
    assert [path.name for path in (tmp_path / "data").glob("secret*")] == ["secret"]


def test_a_database_of_a_newer_release_is_refused(refused):
    refused.data.mkdir()
    (refused.data / "byline.sqlite").write_bytes(empty_sqlite())
    with closing(sqlite3.connect(refused.data / "byline.sqlite")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999_future'")
        database.commit()
    assert "a newer one migrated it" in refused("--port", "0")


@pytest.mark.slow
def test_a_signal_right_after_the_address_is_printed_ends_with_0(server):
    _, process, log = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, log.read_text()
