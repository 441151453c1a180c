"""deploy/schedule/: what a backup has is what a restore brings back, on SQLite and on PostgreSQL."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from byline_service.database.engine import database_url
from byline_service.database.grants import grant
from byline_service.ledger import run_workflow
from tests.deploy.static.files import DEPLOY
from tests.service.postgres import binaries

SCHEDULE = DEPLOY / "schedule"
SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}
ROLE = "byline_copies"


def environment(url):
    """Variables of a script: the programs of the server's own version come first."""
    found = binaries()
    folders = [] if found is None else [str(found)]
    return {**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]]), "BYLINE_DATABASE_URL": url}


def run(name, *arguments, url="sqlite:////nowhere"):
    command = [str(SCHEDULE / name), *map(str, arguments)]
    return subprocess.run(command, env=environment(url), capture_output=True, text=True, check=False)


@pytest.fixture
def filled(books):
    """Books with a posted run and its reversal."""
    if books.used.kind == "postgresql" and shutil.which("pg_dump", path=environment("")["PATH"]) is None:
        pytest.skip("a backup of PostgreSQL needs pg_dump")
    books.policy()
    books.book(SCORES)
    drafted = books.draft()
    books.posted(drafted)
    books.posted(books.do(run_workflow.reverse, drafted, "a mistake").id)
    return books


def destroy(used, request):
    used.run(lambda database: database.dispose())
    if used.kind == "sqlite":
        for suffix in ("", "-wal"):
            Path(f"{used.database.url.database}{suffix}").write_text("not a database")
        return
    server, name = request.getfixturevalue("postgres"), used.database.url.database
    server.drop(name)
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')


def test_a_destroyed_ledger_is_restored_and_verified(filled, tmp_path, request):
    used = filled.used
    before = filled.verify()
    assert before.findings == []
    assert before.posted == 2
    done = run("backup", tmp_path, url=used.url)
    assert done.returncode == 0, done.stderr
    (copy,) = tmp_path.glob("byline-*")
    assert done.stdout.strip() == str(copy)
    assert copy.stat().st_mode & 0o077 == 0
    filled.book(SCORES, reference="after the copy")
    assert filled.verify().records > before.records
    destroy(used, request)
    done = run("restore", copy, url=used.url)
    assert done.returncode == 0, done.stderr
    assert filled.verify() == before
    filled.book(SCORES, reference="after the restore")
    assert filled.verify().findings == []


def test_a_restore_replaces_what_was_there(filled, tmp_path):
    used, before = filled.used, filled.verify()
    assert run("backup", tmp_path, url=used.url).returncode == 0
    (copy,) = tmp_path.glob("byline-*")
    filled.book(SCORES, reference="after the copy")
    used.run(lambda database: database.dispose())
    done = run("restore", copy, url=used.url)
    assert done.returncode == 0, done.stderr
    assert filled.verify() == before


def test_a_role_that_may_read_copies_everything(filled, tmp_path):
    """The schedule has the service's role, which can change no row of the ledger."""
    if filled.used.kind == "sqlite":
        pytest.skip("SQLite has no roles")
    runtime = filled.used.url.replace("//byline@", f"//{ROLE}:it%27s%3Aa%5Cpassword@")

    async def granted(transaction):
        await transaction.run_sync(grant, database_url(runtime))

    filled.used.booked(granted)
    try:
        done = run("backup", tmp_path, url=runtime)
    finally:
        with psycopg.connect(filled.used.url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {ROLE}")
            connection.execute(f"DROP ROLE {ROLE}")
    assert done.returncode == 0, done.stderr


def test_the_newest_copies_are_kept(sqlite_books, tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    old = [copies / f"byline-2026010{day}T000000Z.sqlite" for day in range(1, 6)]
    for path in [*old, copies / "byline-mine.sqlite", copies / "notes.txt"]:
        path.touch()
    assert run("backup", copies, 3, url=sqlite_books.used.url).returncode == 0
    kept = {path.name for path in copies.iterdir()}
    assert {"byline-mine.sqlite", "notes.txt", old[3].name, old[4].name} < kept
    assert len(kept) == 5


def test_a_failed_copy_deletes_nothing_and_leaves_nothing(tmp_path):
    (tmp_path / "damaged").write_text("not a database" * 100)
    copies = tmp_path / "copies"
    copies.mkdir()
    old = copies / "byline-20260101T000000Z.sqlite"
    old.touch()
    for url in (f"sqlite:///{tmp_path}/damaged", f"sqlite:///{tmp_path}/absent", "mysql://x"):
        assert run("backup", copies, 1, url=url).returncode != 0
        assert list(copies.iterdir()) == [old]
    assert not (tmp_path / "absent").exists()
    assert run("backup", copies, 0).returncode == 2
    assert "existing folder" in run("backup", tmp_path / "nowhere").stderr


def test_a_damaged_copy_is_not_restored(sqlite_books, tmp_path):
    sqlite_books.policy()
    before = sqlite_books.verify()
    damaged = tmp_path / "byline-20260101T000000Z.sqlite"
    damaged.write_text("not a database" * 100)
    assert run("restore", damaged, url=sqlite_books.used.url).returncode != 0
    assert run("restore", tmp_path / "absent", url=sqlite_books.used.url).returncode == 2
    assert sqlite_books.verify() == before
    assert not list(tmp_path.glob("*.part-*"))


def test_a_schedule_goes_on_after_a_failure_and_tells_it(tmp_path):
    log, flag = tmp_path / "log", tmp_path / "broken"
    flag.touch()
    command = f'echo run >> "{log}"; test ! -e "{flag}"'
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([str(SCHEDULE / "every"), "0.05", "sh", "-c", command], env=variables)
    try:
        until((tmp_path / "failed").exists)
        flag.unlink()
        until(lambda: not (tmp_path / "failed").exists())
        assert log.read_text().count("run") >= 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_scripts_read():
    for name in ("backup", "restore", "every", "verify", "database"):
        shell = "sh" if name in {"every", "verify"} else "bash"
        subprocess.run([shell, "-n", SCHEDULE / name], check=True)
        assert name == "database" or os.access(SCHEDULE / name, os.X_OK)
