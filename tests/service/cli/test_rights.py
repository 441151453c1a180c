"""`byline rights`: import of a table on the server."""

from typer.testing import CliRunner

from byline.__main__ import compose
from byline_service.ledger import rights_queries
from tests.service.keys import SECRET

HEAD = "owner,right,party,share,from,to\n"


def test_a_table_is_imported_whole_or_not_at_all(sqlite_books, tmp_path, monkeypatch):
    sqlite_books.party("ada")
    monkeypatch.setenv("BYLINE_DATABASE_URL", f"sqlite:///{sqlite_books.used.database.url.database}")
    monkeypatch.setenv("BYLINE_SECRET", SECRET)
    path = tmp_path / "rights.csv"
    command = ["rights", "import", str(path), "--index", "digits"]
    path.write_text(HEAD + "ada,author,ada,600000,,\n", encoding="utf-8-sig")
    found = CliRunner().invoke(compose(), command)
    assert (found.exit_code, found.stdout) == (0, "digits: revision 1 with 1 rows\n")
    path.write_text(HEAD + "ada,author,ada,600000,,\nada,author,nobody,1,,\n")
    wrong = CliRunner().invoke(compose(), command)
    assert "line 3" in str(wrong.exception)
    (row,) = sqlite_books.read(rights_queries.find, "digits").rows
    assert row.share == 600_000
