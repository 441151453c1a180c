"""The effective settings, and variables that are none."""

import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from byline.errors import InvalidInput
from byline_service.cli.common import read_settings
from byline_service.cli.settings import effective
from byline_service.settings import Settings


def test_the_effective_settings_tell_their_source_and_no_secret(monkeypatch):
    monkeypatch.setenv("BYLINE_MAX_K", "100")
    monkeypatch.setenv("BYLINE_SECRET", "s" * 40)
    rows = {variable: (value, source) for variable, value, source in effective(read_settings())}
    assert rows["BYLINE_MAX_K"] == ("100", "set")
    assert rows["BYLINE_MAX_QUERIES"] == ("64", "default")
    assert rows["BYLINE_SECRET"] == ("(secret)", "set")
    assert rows["BYLINE_ALLOWED_HOSTS"][0] == "127.0.0.1,::1,localhost"
    assert rows["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] == ("none", "default")
    assert len(rows) == len(Settings.model_fields)


def test_the_command_prints_them(monkeypatch):
    monkeypatch.setenv("BYLINE_SECRET", "s" * 40)
    done = CliRunner().invoke(compose(), ["settings"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "BYLINE_WRITE_SECONDS" in done.output
    assert "s" * 40 not in done.output


def test_a_misspelt_setting_is_refused(monkeypatch):
    monkeypatch.setenv("BYLINE_MAX_KS", "100")
    with pytest.raises(InvalidInput, match="BYLINE_MAX_KS: did you mean BYLINE_MAX_K"):
        read_settings()


@pytest.mark.parametrize("name", ["BYLINE_KEY", "BYLINE_SECRETS_DIR", "BYLINE_TRACEBACK"])
def test_variables_of_other_parts_are_no_settings(monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, str(tmp_path))
    assert read_settings().max_k == Settings().max_k
