"""Calls that record answers."""

from collections.abc import Mapping
from typing import Any, Unpack

from byline.api.recorded_answers import RecordedAnswer
from byline.client.attributions import Payload, QueryOptions, sent_options
from byline.client.calls import Call, Flow, JsonBody, document, get, nothing, one, path_of


def record_answer(
    index: str, query: Payload, *, shared: bool = False, **options: Unpack[QueryOptions]
) -> Flow[RecordedAnswer]:
    """Answer a query, and keep the answer as it was given.

    Args:
        index: Name of the index.
        query: Query that fits the index's `query_schema`. The model predicts what it leaves out.
        shared: Whether every reader of the index may read the answer.
        **options: Fields of `byline.api.query.AttributionOptions`, and `on_progress` and `timeout`.
    """
    asked: Mapping[str, Any] = {"query": dict(query), **sent_options(options)}
    return one(
        Call(
            method="POST",
            path=path_of("indexes", index, "answers"),
            read=document(RecordedAnswer),
            body=JsonBody.of({"question": asked, "shared": shared}),
            on_progress=options.get("on_progress"),
            timeout=options.get("timeout"),
        )
    )


def recorded_answer(answer_id: str) -> Flow[RecordedAnswer]:
    """Read a recorded answer.

    Args:
        answer_id: Id of the answer.
    """
    return get(path_of("answers", answer_id), document(RecordedAnswer))


def delete_answer(answer_id: str) -> Flow[None]:
    """Delete a recorded answer.

    Args:
        answer_id: Id of the answer.
    """
    return one(nothing("DELETE", path_of("answers", answer_id), repeatable=True))
