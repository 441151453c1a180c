"""`byline versions`: the commands, over the database that a service would use."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from byline.errors import Conflict
from tests.service.keys import SECRET, prepared


@pytest.fixture
def versions(index, tmp_path, monkeypatch):
    """Runs a command on an index; the first argument is the command's name."""
    prepared(tmp_path / "data")
    monkeypatch.setenv("BYLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BYLINE_SECRET", SECRET)

    def run(name, *arguments):
        result = CliRunner().invoke(compose(), ["versions", name, f"tiny={index.path}", *arguments])
        return SimpleNamespace(
            code=result.exit_code, lines=result.stdout.splitlines(), error=result.exception
        )

    return run


def test_from_nothing_to_retired(versions, index):
    assert versions("list").lines == []
    assert versions("register", index.a).lines == [f"tiny {index.a} is registered"]
    assert versions("verify", index.a, "--without-task").lines == [f"tiny {index.a} is verified"]
    assert versions("switch", index.a).lines == [f"tiny stands for {index.a} (revision 4)"]
    switched = versions("switch", index.b, "--without-task").lines
    assert switched[0] == f"tiny {index.b} is verified"
    assert switched[1].startswith(f"tiny stands for {index.b}")
    listed = versions("list").lines
    assert listed[0].startswith(f"{index.a}  verified  ekfac")
    assert listed[1].endswith("served as tiny")
    assert listed[2].endswith(f"before that {index.a})")
    assert isinstance(versions("retire", index.b).error, Conflict)
    assert isinstance(versions("switch", index.a, "--expected", index.a).error, Conflict)
    assert versions("rollback").lines[0].startswith(f"tiny stands for {index.a}")
    assert versions("retire", index.b).lines == [f"tiny {index.b} is retired"]
    assert (
        versions("switch", index.a, "--alias", "staging").lines[0].startswith(f"staging stands for {index.a}")
    )


def test_a_damaged_version_is_told(versions, index):
    (index.path / index.b / "search.faiss").unlink()
    versions("register", index.b)
    damaged = versions("verify", index.b)
    assert (damaged.code, damaged.lines) == (
        1,
        [f"tiny {index.b} is damaged: search.faiss: is missing"],
    )
    assert isinstance(versions("switch", index.b).error, Conflict)
