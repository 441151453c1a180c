"""docs/accounts.md: its commands run as printed, and every setting is documented."""

import io
import os
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from byline.__main__ import main
from byline_service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "accounts.md").read_text()
COMMANDS = [line for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def run(command, folder, **settings):
    """Run a command in this process: starting Python and its libraries for each would take a minute in all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BYLINE_")}
    environment |= {"BYLINE_DATA_DIR": str(folder)} | settings
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        program, *arguments = shlex.split(command)
        assert program == "byline"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    return SimpleNamespace(returncode=ended.value.code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


def test_the_commands(tmp_path):
    assert len(COMMANDS) == 8
    data = tmp_path / "data"
    key_id = None
    for command in COMMANDS:
        done = run(command.replace("ID", key_id or "ID"), data)
        assert done.returncode == 0, done.stderr
        assert "byl_" not in done.stderr
        if " create " in command:
            key_id = done.stdout.strip()[4:16]
        elif " list" in command:
            assert "Museum of Maps" in done.stdout
            assert "byl_" not in done.stdout
    assert (data / "secret").stat().st_mode & 0o777 == 0o600
    assert "is at revision" in run("byline migrate", data).stdout
    states = run("byline keys list", data).stdout.splitlines()
    assert len(states) == 4
    assert sum("revoked" in line for line in states) == 1


def test_the_same_on_postgresql(postgres, tmp_path):
    name = postgres.fresh()
    (tmp_path / "byline_database_url").write_text(postgres.url(name))
    (tmp_path / "byline_secret").write_text("s" * 32)
    secrets = {"BYLINE_SECRETS_DIR": str(tmp_path)}
    create = "byline keys create operator --person ada --scope admin"
    refused = run(create, tmp_path / "data", **secrets)
    assert refused.returncode == 1
    assert "run `byline migrate`" in refused.stderr
    assert "from an empty database" in run("byline migrate", tmp_path / "data", **secrets).stdout
    assert run(create, tmp_path / "data", **secrets).stdout.startswith("byl_")
    assert not (tmp_path / "data").exists()
    missing = run(create, tmp_path / "data", BYLINE_DATABASE_URL=postgres.url(name))
    assert missing.returncode == 2
    assert "expected a secret" in missing.stderr
    postgres.drop(name)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("byline ledger export nowhere/journal.jsonl", "a file in an existing folder"),
        ("byline keys create x --person ada --scope root", "expected scopes among"),
        ("byline keys create x --person ada --scope admin --owner a", "the scope read alone"),
        ("byline keys revoke nobody", "expected the id of an existing key"),
        ("byline keys create x --person ada --scope admin --days 99999999", "--days"),
        ("byline keys rotate nobody --overlap-hours 1e300", "--overlap-hours"),
    ],
)
def test_mistakes_are_one_line(command, said, tmp_path):
    done = run(command, tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_is_documented():
    table = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    missing = [
        name
        for name, field in Settings.model_fields.items()
        if field.validation_alias is None and f"BYLINE_{name.upper()}" not in table
    ]
    assert missing == []
