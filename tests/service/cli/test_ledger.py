"""`byline ledger`: a bundle is written from the database, and verified without one."""

import json

from typer.testing import CliRunner

from byline.__main__ import compose
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
