"""Paths of a Task's code are relative to its file, and only while that code runs."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from byline.errors import InvalidInput
from byline.paths import TaskPath, local_path, relative_to

ADAPTER: TypeAdapter[Path] = TypeAdapter(TaskPath)


def test_relative_paths_follow_the_folder_and_absolute_ones_stay() -> None:
    with relative_to(Path("/tasks")):
        assert ADAPTER.validate_python("model") == Path("/tasks/model")
        with relative_to(Path("/others")):
            assert ADAPTER.validate_python("model") == Path("/others/model")
        assert ADAPTER.validate_python("/models/a") == Path("/models/a")
    assert ADAPTER.validate_python("model") == Path("model")


def test_the_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    with relative_to(Path("/tasks")):
        assert ADAPTER.validate_python("~/model") == Path("/home/ada/model")
        assert ADAPTER.validate_python("~") == Path("/home/ada")
        assert ADAPTER.validate_python("models/~/a") == Path("/tasks/models/~/a")
        assert ADAPTER.validate_python("~nobody-of-this-name/a") == Path("/tasks/~nobody-of-this-name/a")


def test_the_folder_is_forgotten_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), relative_to(Path("/tasks")):
        raise ZeroDivisionError
    assert ADAPTER.validate_python("model") == Path("model")


@pytest.mark.parametrize("url", ["s3://bucket/model", "file:///model"])
def test_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="URL"):
        local_path(url)
    with pytest.raises(ValidationError, match="URL"):
        ADAPTER.validate_python(url)
