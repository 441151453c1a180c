"""A real service whose disk fills up, or turns read-only: it goes on answering, says so, and loses nothing."""

import json
import subprocess

import pytest
from sqlalchemy import event

from tests.system.serving import QUERY, answer_without_timings, serving, tiny_index

ASK = "/v1/indexes/tiny/attributions"
MEBIBYTES = 3


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return tiny_index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own.

    Yields:
        Where it is.
    """
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m,mode=0700", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system to fill")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def create(served, number):
    body = {"name": f"key {number}", "person": "x" * 100, "scopes": ["read"]}
    return served.post("/v1/keys", json.dumps(body).encode())


def names(served):
    found, after = [], ""
    while True:
        status, body = served.get(f"/v1/keys?limit=1000{after}")
        assert status == 200, body
        page = json.loads(body)
        found += [key["name"] for key in page["data"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def fill(disk):
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(b"\0" * 4096):
                pass
        except OSError:
            pass


@pytest.mark.slow
def test_a_full_disk_loses_nothing_that_was_acknowledged(index, disk, tmp_path):
    acknowledged, statuses = [], []
    with serving(index, tmp_path) as served:
        before = answer_without_timings(served)
        for number in range(400):
            if number == 20:
                fill(disk)
            status, body = create(served, number)
            statuses.append(status)
            if status == 201:
                acknowledged.append(f"key {number}")
            else:
                problem = json.loads(body)
                assert (status, problem["type"]) == (507, "urn:byline:problem:disk-full"), problem
                assert answer_without_timings(served) == before
            if statuses.count(507) == 10:
                break
        assert statuses.count(507) == 10
        assert served.post(ASK, b'{"query": ' + QUERY + b"}")[0] == 200
        assert served.get("/livez")[0] == 200
        (disk / "ballast").unlink()
        assert create(served, "after")[0] == 201
        assert sorted(names(served)) == sorted(["first", *acknowledged, "key after"])
    assert served.process.returncode == 0
    with serving(index, tmp_path, key=served.key) as again:
        assert sorted(names(again)) == sorted(["first", *acknowledged, "key after"])


def test_a_database_that_turns_read_only(served):
    """As SQLite has it when its file system is mounted anew: what is served is answered, what is written is not."""
    engine = served.app.state.service.database.engine.sync_engine

    read_only = 1

    def mount(connection, record, proxy):
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA query_only={read_only}")
        cursor.close()

    def ask():
        return served.client.post("/v1/indexes/fake/shares", json={"query": {"text": "x", "label": 1}})

    body = {"name": "key", "person": "x", "scopes": ["read"]}
    assert served.client.post("/v1/keys", json=body).status_code == 201
    event.listen(engine, "checkout", mount)
    refused = served.client.post("/v1/keys", json=body)
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:byline:problem:database-unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert ask().status_code == 200
    read_only = 0
    assert served.client.post("/v1/keys", json=body).status_code == 201
    assert len(served.client.get("/v1/keys").json()["data"]) == 3


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_said_at_the_start(index, disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(SystemExit, match="did not start") as ended, serving(index, tmp_path):
        pass
    _, _, log = str(ended.value).partition("did not start: ")
    (said,) = log.strip().splitlines()
    assert said.startswith("error: expected a data folder that can be written")
    assert "BYLINE_DATA_DIR" in said
