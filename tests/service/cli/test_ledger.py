"""`byline ledger`: a bundle is written from the database, and verified without one."""

import json

import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from byline_service.accounts import audit
from tests.service.compensation.reference import KEY
from tests.service.keys import SECRET

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}


def run(*arguments):
    return CliRunner().invoke(compose(), ["ledger", *map(str, arguments)])


def test_a_bundle_is_written_and_verified(sqlite_books, tmp_path, monkeypatch):
    sqlite_books.policy()
    sqlite_books.book(SCORES)
    drafted = sqlite_books.draft()
    bundle, keys = tmp_path / "run.json", tmp_path / "keys.pem"
    monkeypatch.setenv("BYLINE_DATABASE_URL", f"sqlite:///{sqlite_books.used.database.url.database}")
    monkeypatch.setenv("BYLINE_SECRET", SECRET)
    written = run("bundle", drafted, "--out", bundle)
    assert (written.exit_code, written.stdout) == (0, f"1 events in {bundle}\n")
    monkeypatch.delenv("BYLINE_DATABASE_URL")
    monkeypatch.setenv("BYLINE_DATA_DIR", str(tmp_path / "nowhere"))
    keys.write_text(KEY.public.pem)
    right = run("verify", "--bundle", bundle, "--keys", keys)
    assert (right.exit_code, "the same to the byte" in right.stdout) == (0, True)
    assert not (tmp_path / "nowhere").exists()
    forged = json.loads(bundle.read_text())
    forged["events"][0]["scores"]["ash"][0] += 1
    bundle.write_text(json.dumps(forged))
    wrong = run("verify", "--bundle", bundle)
    assert (wrong.exit_code, "signature of a known key" in wrong.output) == (1, True)
    bundle.write_text("{}")
    assert "public keys" in str(run("verify", "--bundle", bundle, "--keys", tmp_path / "no.pem").exception)
    assert "expected a bundle" in str(run("verify", "--bundle", bundle).exception)


def test_a_ledger_is_verified_with_all_noted_heads(sqlite_books, tmp_path, monkeypatch):
    sqlite_books.policy()
    monkeypatch.setenv("BYLINE_DATABASE_URL", f"sqlite:///{sqlite_books.used.database.url.database}")
    right = run("verify")
    assert right.exit_code == 0
    head, log = (line.split()[-1] for line in right.stdout.splitlines()[-2:])
    heads = tmp_path / "heads.jsonl"
    heads.write_text(json.dumps({"at": "", "journal": head, "audit": log}) + "\n")
    sqlite_books.policy()
    for given in (head, heads):
        assert run("verify", "--head", given).exit_code == 0
    with heads.open("a") as file:
        file.write(json.dumps({"at": "", "audit": f"{log[:-1]}{'0' if log[-1] != '0' else '1'}"}) + "\n")
    wrong = run("verify", "--head", heads)
    assert (wrong.exit_code, "audit 1: its hash is not the one that was noted" in wrong.output) == (1, True)


@pytest.mark.parametrize("command", ["verify", "export", "bundle"])
def test_without_a_database_nothing_is_verified_and_none_is_made(tmp_path, monkeypatch, command):
    arguments = {"verify": [], "export": [tmp_path / "out"], "bundle": ["x", "--out", tmp_path / "out"]}[
        command
    ]
    monkeypatch.setenv("BYLINE_DATA_DIR", str(tmp_path / "nowhere"))
    assert "expected a database, got none" in str(run(command, *arguments).exception)
    monkeypatch.setenv("BYLINE_DATABASE_URL", f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert "expected a database, got none" in str(run(command, *arguments).exception)
    assert list(tmp_path.iterdir()) == []


def test_exports_of_the_command_line_are_in_the_audit_log(sqlite_books, tmp_path, monkeypatch):
    sqlite_books.policy()
    sqlite_books.book(SCORES)
    drafted = sqlite_books.draft()
    monkeypatch.setenv("BYLINE_DATABASE_URL", f"sqlite:///{sqlite_books.used.database.url.database}")
    for arguments in (("bundle", drafted, "--out", tmp_path / "run"), ("export", tmp_path / "journal")):
        assert run(*arguments).exit_code == 0
    lines = sqlite_books.read(audit.page, None, 2)
    assert [(each["action"], each["person"], each["subject"]) for each in reversed(lines)] == [
        ("exports.bundle", "operator", drafted),
        ("exports.journal", "operator", "journal"),
    ]
    assert run("verify").exit_code == 0
