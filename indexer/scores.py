"""All scores of many queries, written block by block into one file.

Letters: Q queries, R training points, K numbers of a feature.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from byline.attribution import AttributionRequest
from byline.attribution.opening import featurizer_of, task_of
from byline.attribution.questions import Question, Questions
from byline.attribution.stopwatch import Stopwatch
from byline.errors import InvalidInput, InvalidQuery
from byline.search.searcher import Searcher
from byline.store.durable import replaced
from byline.store.index import AttributionIndex
from indexer.progress import Observer, Silent


def read_requests(path: Path) -> list[AttributionRequest]:
    r"""Read one query a line; empty lines are skipped. Only `\n` ends a line: JSON may hold what Unicode calls one.

    Raises:
        InvalidInput: The file cannot be read, holds no query, or a line is no JSON object.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"expected queries as UTF-8 JSON lines in {path}: {error}") from error
    requests = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            payload = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number}: expected a JSON object: {error}") from None
        except RecursionError:
            raise InvalidInput(
                f"{path}, line {number}: expected a JSON object, got one that is nested too deeply"
            ) from None
        if not isinstance(payload, dict):
            raise InvalidInput(
                f"{path}, line {number}: expected a JSON object, got a {type(payload).__name__}"
            )
        requests.append(AttributionRequest(query=payload))
    if not requests:
        raise InvalidInput(f"expected at least one query in {path}, got an empty file")
    return requests


def write_scores(
    index: Path,
    requests: Sequence[AttributionRequest],
    out: Path,
    *,
    batch: int = 32,
    observer: Observer | None = None,
) -> None:
    """Write float32 [Q, R] to a `.npy` file, which appears when it is complete.

    Args:
        index: An index directory or one version of it.
        requests: Q queries.
        out: The file.
        batch: Queries that are differentiated together.
        observer: Told how it goes.

    Raises:
        InvalidQuery: A query does not fit the index; names its number.
        StaleIndex: The Task changed since the build.
    """
    observer = observer or Silent()
    opened = AttributionIndex.open(index)
    task = task_of(opened)
    ask = Questions(opened.recipe, opened.width, task=task, featurizer=featurizer_of(opened, task))
    questions = _checked(ask, requests)
    searcher = Searcher(opened)
    with replaced(out) as temporary:
        scores_QR = open_memmap(temporary, "w+", np.float32, (len(questions), opened.rows))
        for start in range(0, len(questions), batch):
            part = questions[start : start + batch]
            features_QK = _features(ask, part, first=start)
            searcher.scores(features_QK, out=scores_QR[start : start + len(part)])
            observer.reach("score queries", start + len(part), len(questions))
        scores_QR.flush()


def _checked(ask: Questions, requests: Sequence[AttributionRequest]) -> list[Question]:
    """Check every query before the first one is computed."""
    questions = []
    for number, request in enumerate(requests, start=1):
        try:
            questions.append(ask.check(request))
        except InvalidQuery as error:
            raise InvalidQuery(f"query {number}: {error}") from error
    return questions


def _features(ask: Questions, part: Sequence[Question], first: int) -> Tensor:
    """[Q, K], or the first query's error with its number."""
    found = ask.features(part, Stopwatch())
    for place, each in enumerate(found):
        if each.error is not None:
            raise InvalidQuery(f"query {first + place + 1}: {each.error}") from each.error
    return torch.stack([each.feature for each in found if each.feature is not None])
