"""What a problem document tells of an error, and what the log alone knows."""

from byline.errors import InvalidTask, UnsupportedModel
from byline_service.http.problems import describe_error


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


def test_words_of_the_tasks_own_code_stay_in_the_log(capfd):
    wrapped = raised(InvalidTask("row 7: reading it raised OSError: s3cr3t"), OSError("s3cr3t"))
    kind, detail = describe_error(raised(InvalidTask("row 7: s3cr3t"), wrapped))
    assert (kind.status, kind.name) == (500, "wrong-task")
    assert "operator" in detail
    assert "s3cr3t" not in detail


def test_what_byline_itself_says_of_a_task_is_told(capfd):
    for error in (UnsupportedModel("module 'x'"), raised(InvalidTask("field"), InvalidTask("cause"))):
        kind, detail = describe_error(error)
        assert (kind.status, detail) == (500, str(error))
