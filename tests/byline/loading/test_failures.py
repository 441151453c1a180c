"""What foreign code raises becomes one printable line that says which function, what and where."""

import json

import pytest
from pydantic import BaseModel

from byline.errors import InvalidQuery, InvalidTask
from byline.loading.failures import error_place, error_text, is_users, task_code_failures


class Model(BaseModel):
    width: int


def test_any_error_is_the_tasks_and_byline_keeps_its_own() -> None:
    said = r"^Task\.collate raised KeyError: 'x' \(test_failures\.py:\d+, in .*\): fix it$"
    with pytest.raises(InvalidTask, match=said), task_code_failures("Task.collate", "fix it"):
        {}["x"]  # type: ignore[typeddict-item]
    with pytest.raises(InvalidQuery, match=r"^mine$"), task_code_failures("Task.collate"):
        raise InvalidQuery("mine")
    with pytest.raises(MemoryError), task_code_failures("Task.collate"):
        raise MemoryError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines\tand \x1b[31m colour"), "ValueError: two lines and  [31m colour"),
        (ValueError("caf\udce9"), "ValueError: caf "),
        (ValueError(), "ValueError"),
        (ValueError("x" * 999), f"ValueError: {'x' * 300}…"),
    ],
)
def test_one_printable_line(error: Exception, line: str) -> None:
    assert error_text(error) == line
    assert error_text(error).isprintable()


def test_pydantics_text_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="width") as caught:
        Model(width="secret")  # type: ignore[arg-type]
    assert error_text(caught.value) == "ValidationError: Model.width: expected an integer, got text"


def test_the_place_is_the_users_last_line_and_no_librarys() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert error_place(caught.value).startswith(" (test_failures.py:")
    assert not is_users(json.__file__)
    assert not is_users(pytest.__file__)
    assert not is_users("<string>")
