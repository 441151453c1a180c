"""A real server that dies: what was registered is known, what was switched is served, nothing in between."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from tests.service.keys import admin_key, bearer, prepared

ALIAS, VERSIONS = "/v1/aliases/tiny", "/v1/indexes/tiny/versions"


@pytest.fixture
def environment(tmp_path):
    prepared(tmp_path / "data")
    return os.environ | {
        "BYLINE_DATA_DIR": str(tmp_path / "data"),
        "BYLINE_SECRET": "a secret of the tests, long enough",
        "OMP_NUM_THREADS": "1",
        "BYLINE_DRAIN_SECONDS": "0",
    }


@contextlib.contextmanager
def serving(index, environment):
    command = [sys.executable, "-m", "byline", "serve", f"tiny={index.path}", "--port", "0", "--without-task"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        line = process.stdout.readline()
        assert " at http://" in line, process.stderr.read()
        address = line.split(" at ")[1].split()[0].rstrip("/")
        with httpx.Client(base_url=address, headers=bearer(admin_key()), timeout=30) as client:
            until(lambda: client.get("/readyz").status_code == 200)
            until(lambda: client.get(ALIAS).status_code == 200)
            yield process, client
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(20)


@pytest.mark.slow
def test_killed_between_registering_and_switching_and_right_after(index, environment):
    with serving(index, environment) as (process, client):
        assert client.post(VERSIONS, json={"version": index.b}).json()["state"] == "registered"
        client.post(f"{VERSIONS}/{index.b}/verify")
        until(lambda: client.get(f"{VERSIONS}/{index.b}").json()["state"] == "verified")
        kill(process)
    with serving(index, environment) as (process, client):
        assert client.get(ALIAS).json()["served"] == index.a
        body = {"index": "tiny", "version": index.b, "expected": index.a}
        assert client.put(ALIAS, json=body).status_code == 200
        kill(process)
    with serving(index, environment) as (process, client):
        assert client.get(ALIAS).json()["served"] == client.get(ALIAS).json()["version"] == index.b
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "not followed" in process.stderr.read()
