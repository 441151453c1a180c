"""Routes for the served indexes, their examples, owners and self-influence.

These endpoints read files and never compute: plain functions, which FastAPI runs beside the event loop.
"""

from collections.abc import Callable, Sequence

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from byline.api.accounts import Scope
from byline.api.attributions import (
    ExampleRow,
    IndexInfo,
    IndexSummary,
    LicenseInfo,
    MemberInfo,
    OwnerCoverage,
    OwnerInfo,
    SelfInfluenceRow,
)
from byline.api.example import Example
from byline.api.page import Page
from byline.attribution.attributor import Attributor
from byline.attribution.shown_images import image_path
from byline.errors import InvalidQuery, NotFound
from byline.index.index import AttributionIndex
from byline.recipes import refuse_no_self_influence
from byline_service.accounts.permissions import caller_of, requires
from byline_service.http.pagination import (
    INVALID_CURSOR,
    After,
    Limit,
    Text,
    cursor,
    cut,
    place_of,
    row_of_cursor,
)
from byline_service.http.problems import problem_responses
from byline_service.state import AppState
from byline_service.versions.catalogue import Catalogue

router = APIRouter(prefix="/v1/indexes", tags=["Indexes"])
NARROWED = [requires(Scope.READ, owner_scoped=True)]
"""Keys that see some owners only are shown their owners' rows."""


def _catalogue(request: Request, name: str) -> Catalogue:
    service: AppState = request.app.state.service
    return service.versions.pin(request.scope, name).catalogue


def _attributor(request: Request, name: str) -> Attributor:
    service: AppState = request.app.state.service
    return service.versions.pin(request.scope, name).attributor


def _position(rows: NDArray[np.int64], row: int) -> int:
    """Find the place of a row in an order.

    Raises:
        InvalidQuery: It has none: the cursor is another caller's.
    """
    found = np.flatnonzero(rows == row)
    if len(found) == 0:
        raise InvalidQuery(INVALID_CURSOR)
    return int(found[0])


def _image_paths(
    attributor: Attributor, rows: Sequence[int] | NDArray[np.int64]
) -> Callable[[int, Example], str | None]:
    """Find the thumbnails of some rows. Returns a function from row and example to the path."""
    found = attributor.index.examples.with_images(rows)
    return lambda row, example: image_path(attributor.name, example.id) if row in found else None


@router.get("", operation_id="list_indexes", dependencies=NARROWED, responses=problem_responses(422))
def list_indexes(request: Request, after: After = None, limit: Limit = 100) -> Page[IndexSummary]:
    """List the served indexes."""
    served: dict[str, Attributor] = request.app.state.service.attributors
    (last,) = place_of(after, tuple[Text]) or ("",)
    shown, following = cut(sorted(name for name in served if name > last), limit, lambda name: (name,))
    return Page[IndexSummary].of([IndexSummary(**_summary(name, served[name])) for name in shown], following)


def _summary(name: str, attributor: Attributor) -> dict[str, str | int]:
    index = attributor.index
    return {
        "name": name,
        "index": attributor.name,
        "version": index.version,
        "rows": index.rows,
        "unit": "point" if index.groups is None else "group",
        "points": index.points,
        "recipe": index.recipe.name,
    }


@router.get("/{name}", operation_id="get_index", responses=problem_responses(404, 422), dependencies=NARROWED)
def get_index(request: Request, name: str) -> IndexInfo:
    """Describe an index: its recipe, ensemble, counts and the form of its queries."""
    attributor = _attributor(request, name)
    index, task = attributor.index, attributor.task
    query = None if task is None else task.query
    return IndexInfo.model_validate(
        _summary(name, attributor)
        | {
            "recipe_fingerprint": attributor.recipe_fingerprint,
            "recipe_document": index.recipe.model_dump(mode="json"),
            "width": index.width,
            "members": [
                MemberInfo(name=m.name, checkpoint=m.checkpoint, mask_seed=m.mask_seed, adapter=m.adapter)
                for m in attributor.members
            ],
            "owners": len(index.owners.names),
            "search": index.manifest.storage.search,
            "targets": ["loss", *sorted(task.targets)] if task and query else [],
            "default_target": index.recipe.query_target,
            "baselines": list(attributor.similarities.offered),
            "shares": attributor.gives_shares,
            "tokens": attributor.tells_tokens,
            "replicates": attributor.tells_noise,
            "query_schema": query.payload.model_json_schema() if query else None,
            "gradients": _gradients(attributor),
            "quality_card": index.quality.card,
            "quality_card_problem": index.quality.problem,
        }
    )


def _gradients(attributor: Attributor) -> dict[str, tuple[int, ...]] | None:
    try:
        return attributor.expected_gradients()
    except InvalidQuery:
        return None


@router.get(
    "/{name}/examples",
    operation_id="list_examples",
    responses=problem_responses(404, 422),
    dependencies=NARROWED,
)
def list_examples(request: Request, name: str, after: After = None, limit: Limit = 100) -> Page[ExampleRow]:
    """List the training points by row."""
    catalogue = _catalogue(request, name)
    index, rows = catalogue.index, catalogue.rows_of(caller_of(request).owners)
    last = row_of_cursor(after, index.version, index.rows)
    if rows is not None:
        first = 0 if last is None else int(np.searchsorted(rows, last, side="right"))
        chosen, more = rows[first : first + limit], first + limit < len(rows)
        found = list(zip((int(row) for row in chosen), index.examples.by_rows(chosen), strict=True))
    else:
        found = index.examples.page(-1 if last is None else last, limit)
        more = bool(found) and found[-1][0] + 1 < index.rows
    image = _image_paths(_attributor(request, name), [row for row, _ in found])
    page = [ExampleRow(row=row, example=example, image=image(row, example)) for row, example in found]
    return Page[ExampleRow].of(page, cursor(index.version, found[-1][0]) if more else None)


@router.get(
    "/{name}/examples/{example_id:path}",
    operation_id="get_example",
    responses=problem_responses(404, 422),
    dependencies=NARROWED,
)
def get_example(request: Request, name: str, example_id: str) -> ExampleRow:
    """Return a training point by its id, which may hold slashes."""
    _, row, example = visible_example(request, name, example_id)
    image = _image_paths(_attributor(request, name), [row])
    return ExampleRow(row=row, example=example, image=image(row, example))


def visible_example(request: Request, name: str, example_id: str) -> tuple[AttributionIndex, int, Example]:
    """Find a training point that the caller may see.

    Args:
        request: The request.
        name: The index or alias.
        example_id: Id of the training point.

    Returns:
        The index, the row and the metadata.

    Raises:
        NotFound: The index has no example of this id.
    """
    index = _attributor(request, name).index
    try:
        row = index.examples.row_of(example_id)
    except NotFound:
        raise NotFound("expected the id of an example of this index, got another one") from None
    example = index.examples.by_rows(np.array([row]))[0]
    caller_of(request).require_owner(example.owner)
    return index, row, example


@router.get(
    "/{name}/owners", operation_id="list_owners", responses=problem_responses(404, 422), dependencies=NARROWED
)
def list_owners(request: Request, name: str, after: After = None, limit: Limit = 100) -> Page[OwnerInfo]:
    """List the owners by name, with their numbers of examples and their licenses."""
    catalogue = _catalogue(request, name)
    caller, version = caller_of(request), catalogue.index.version
    owners = [each for each in catalogue.owners if caller.sees(each[0])]
    last = row_of_cursor(after, version, len(owners))
    first = 0 if last is None else last + 1
    page = [
        OwnerInfo(owner=owner, examples=count, licenses=licenses)
        for owner, count, licenses in owners[first : first + limit]
    ]
    end = first + len(page)
    return Page[OwnerInfo].of(page, cursor(version, end - 1) if end < len(owners) else None)


@router.get(
    "/{name}/coverage",
    operation_id="get_coverage",
    responses=problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
def get_coverage(request: Request, name: str) -> OwnerCoverage:
    """Count the rows with an owner, and the rows under each license."""
    catalogue = _catalogue(request, name)
    with_owner, rows = sum(count for _, count, _ in catalogue.owners), catalogue.index.rows
    return OwnerCoverage(
        rows=rows,
        with_owner=with_owner,
        without_owner=rows - with_owner,
        licenses=[LicenseInfo(license=name, examples=count) for name, count in catalogue.licenses],
    )


@router.get(
    "/{name}/self-influence",
    operation_id="list_self_influence",
    responses=problem_responses(404, 422),
    dependencies=NARROWED,
)
def list_self_influence(
    request: Request, name: str, after: After = None, limit: Limit = 100
) -> Page[SelfInfluenceRow]:
    """List the training points by self-influence, the largest first. Mislabeled points come early."""
    catalogue = _catalogue(request, name)
    refuse_no_self_influence(catalogue.index.recipe)
    index, rows = catalogue.index, catalogue.by_self_influence
    last = row_of_cursor(after, index.version, index.rows)
    seen = catalogue.rows_of(caller_of(request).owners)
    if seen is not None:
        rows = rows[np.isin(rows, seen)]
    first = 0 if last is None else _position(rows, last) + 1
    chosen = rows[first : first + limit]
    image = _image_paths(_attributor(request, name), chosen)
    page = [
        SelfInfluenceRow(
            row=int(row),
            example=example,
            image=image(int(row), example),
            self_influence=float(index.self_influence[row]),
        )
        for row, example in zip(chosen, index.examples.by_rows(chosen), strict=True)
    ]
    more = first + len(page) < len(rows)
    return Page[SelfInfluenceRow].of(page, cursor(index.version, page[-1].row) if more else None)
