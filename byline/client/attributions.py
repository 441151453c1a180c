"""Calls that ask an index."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from byline.api.answer import Answer, SharesAnswer
from byline.api.attributions import Answers, IndexInfo
from byline.api.query import AttributionKeywords, RankingKeywords, SharesKeywords, options_of
from byline.api.recorded_answers import RecordedAnswer
from byline.client import indexes
from byline.client.calls import Call, Flow, JsonBody, OnProgress, document, get, nothing, one, path_of
from byline.client.gradients import gradient_of
from byline.client.tensors import TensorsBody
from byline.errors import InvalidQuery

if TYPE_CHECKING:
    from torch import Tensor

    from byline.client.gradients import Loss, Models

T = TypeVar("T")
Payload = Mapping[str, Any]


class Waiting(TypedDict, total=False):
    """How to wait for an answer."""

    on_progress: OnProgress
    """Function to call with the progress of the answer. The service then streams, and allows the answer more time."""
    timeout: float
    """Seconds without a byte from the service before the client gives up. The client sets the default."""


class Options(RankingKeywords, Waiting, total=False):
    """The options of a gradient or a feature, and of waiting for the answer."""


class QueryOptions(AttributionKeywords, Waiting, total=False):
    """The options of a query, and of waiting for the answer."""


class SharesOptions(SharesKeywords, Waiting, total=False):
    """The options of shares, and of waiting for the answer."""


def attribute(index: str, query: Payload, **options: Unpack[QueryOptions]) -> Flow[Answer]:
    """Find the most influential training points of one query.

    Args:
        index: Name of the index.
        query: Query that fits the index's `query_schema`. The model predicts what it leaves out.
        **options: Fields of `byline.api.query.AttributionOptions`, and `on_progress` and `timeout`.
    """
    return one(_ask(index, {"query": dict(query)}, document(Answer), options))


def attribute_batch(
    index: str, queries: Sequence[Payload], **options: Unpack[QueryOptions]
) -> Flow[list[Answer]]:
    """Find the most influential training points of each query of a batch, in one request.

    Args:
        index: Name of the index.
        queries: Queries that fit the index's `query_schema`.
        **options: Fields of `byline.api.query.AttributionOptions`, and `on_progress` and `timeout`.
    """
    return one(_ask(index, {"queries": [dict(query) for query in queries]}, _batch, options))


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
    asked = {"query": dict(query), **_as_json(options)}
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


def _batch(body: bytes) -> list[Answer]:
    return Answers.model_validate_json(body).answers


def attribute_set(index: str, queries: Sequence[Payload], **options: Unpack[QueryOptions]) -> Flow[Answer]:
    """Find the most influential training points of the mean target over several queries.

    Args:
        index: Name of the index.
        queries: Queries that fit the index's `query_schema`.
        **options: Fields of `byline.api.query.AttributionOptions`, and `on_progress` and `timeout`.
    """
    return one(_ask(index, {"query_set": [dict(query) for query in queries]}, document(Answer), options))


def attribute_feature(index: str, feature: Sequence[float], **options: Unpack[Options]) -> Flow[Answer]:
    """Find the most influential training points of a finished query feature.

    Args:
        index: Name of the index.
        feature: Numbers of the feature, as many as the index's `width`.
        **options: Fields of `byline.api.query.AttributionOptions`, and `on_progress` and `timeout`.
    """
    return one(_ask(index, {"feature": [float(number) for number in feature]}, document(Answer), options))


def attribute_tensors(
    index: str, tensors: "Mapping[str, Tensor]", **options: Unpack[Options]
) -> Flow[Answer]:
    """Find the most influential training points of a given gradient.

    The client copies and sends the tensors one mebibyte at a time.

    Args:
        index: Name of the index.
        tensors: Gradients by `member/parameter`, with the names and shapes in the index's `gradients`.
        **options: Options as of `attribute`, without `target` and `baseline`. A `filter` cannot select by attributes.
    """
    return one(
        Call(
            method="POST",
            path=path_of("indexes", index, "attributions"),
            read=document(Answer),
            query=_as_parameters(options),
            body=TensorsBody(tensors),
            repeatable=True,
            on_progress=options.get("on_progress"),
            timeout=options.get("timeout"),
        )
    )


def attribute_gradient(index: str, model: "Models", loss: "Loss", **options: Unpack[Options]) -> Flow[Answer]:
    """Find the most influential training points of a loss, from its gradient in your own model.

    The index lists the gradients that it needs. `gradient_of` describes the computation.

    Args:
        index: Name of the index.
        model: The model. For an index of an ensemble: models by member, `{"c0": first, "c1": second}`.
        loss: A function of the model that returns one number: the query's loss, or a target with a minus sign. If the
            index needs the gradient of a single model, the number itself is enough.
        **options: Options as of `attribute`, without `target` and `baseline`. A `filter` cannot select by attributes.

    Yields:
        Calls to execute.

    Returns:
        The answer.

    Raises:
        InvalidQuery: The model or the loss does not fit the index.
    """
    info: IndexInfo = yield from indexes.index(index)
    return (yield from attribute_tensors(index, gradient_of(model, loss, info), **options))


def shares(index: str, query: Payload, **options: Unpack[SharesOptions]) -> Flow[SharesAnswer]:
    """Compute the share of each owner in one query's answer, over all rows.

    Args:
        index: Name of the index.
        query: Query that fits the index's `query_schema`. The model predicts what it leaves out.
        **options: `target`, `owners_limit`, `on_progress` and `timeout`.
    """
    return one(_ask(index, {"query": dict(query)}, document(SharesAnswer), options, "shares"))


def shares_of_set(
    index: str, queries: Sequence[Payload], **options: Unpack[SharesOptions]
) -> Flow[SharesAnswer]:
    """Compute the share of each owner in the mean target over several queries, over all rows.

    Args:
        index: Name of the index.
        queries: Queries that fit the index's `query_schema`.
        **options: `target`, `owners_limit`, `on_progress` and `timeout`.
    """
    asked = {"query_set": [dict(query) for query in queries]}
    return one(_ask(index, asked, document(SharesAnswer), options, "shares"))


def shares_of_feature(
    index: str, feature: Sequence[float], **options: Unpack[SharesOptions]
) -> Flow[SharesAnswer]:
    """Compute the share of each owner in the answer to a finished query feature, over all rows.

    Args:
        index: Name of the index.
        feature: Numbers of the feature, as many as the index's `width`.
        **options: `target`, `owners_limit`, `on_progress` and `timeout`.
    """
    asked = {"feature": [float(number) for number in feature]}
    return one(_ask(index, asked, document(SharesAnswer), options, "shares"))


def _ask(
    index: str,
    asked: dict[str, Any],
    read: Callable[[bytes], T],
    options: Mapping[str, Any],
    endpoint: str = "attributions",
) -> Call[T]:
    return Call(
        method="POST",
        path=path_of("indexes", index, endpoint),
        read=read,
        body=JsonBody.of(asked | _as_json(options)),
        repeatable=True,
        on_progress=options.get("on_progress"),
        timeout=options.get("timeout"),
    )


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options of an answer. The service sets the defaults of those that are left out."""
    chosen = {name: value for name, value in options.items() if name not in Waiting.__annotations__}
    return options_of(**chosen).model_dump(mode="json", exclude_unset=True)


def _as_parameters(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Write options as query parameters, for a body of tensors."""
    sent = _as_json(options)
    chosen = sent.pop("filter", None) or {}
    if set(chosen) - {"id", "owner", "license", "label"}:
        raise InvalidQuery(
            "expected a filter by id, owner, license and label with gradients, got one by attributes"
        )
    listed = [(name, word) for name, words in chosen.items() for word in words or ()]
    return [(name, _word(value)) for name, value in sent.items()] + listed


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
