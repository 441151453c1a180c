"""Write an index from a finished build, in blocks: memory does not grow with rows beyond a few small columns.

Legend: R rows of the index, K numbers of a vector.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byline.errors import BuildFailed
from byline.index.codes import RecallMeasurement
from byline.index.contents import IndexContents
from byline.index.durable import durable_file, sync, sync_tree
from byline.index.examples import ExampleStore, write_examples
from byline.index.layout import (
    EXAMPLES,
    FOLDERS,
    GROUP_ENDS,
    GROUP_MEMBERS,
    ITEM_DIGESTS,
    MANIFEST,
    OWNER_ROWS,
    OWNER_SUMS,
    ROW_WEIGHTS,
    SEARCH,
    SELF_INFLUENCE,
    MemberLayout,
    RotationLayout,
    Stretch,
    curvature_file,
    shard_file,
)
from byline.index.libraries import libraries
from byline.index.manifest import FileRecord, Manifest, SearchRecord, write_manifest
from byline.index.owners import write_owner_sums
from byline.index.search_writer import write_search
from byline.index.tensors import write_tensors
from byline.index.vectors import VectorRows, fp16_exponent, largest_magnitudes, weighted_blocks, write_vectors
from byline.index.verification import sha256_of

Progress = Callable[[str, int, int], None]
"""Called with (what is being written, rows done, rows in all)."""


def write_index(
    contents: IndexContents,
    work: Path,
    *,
    progress: Progress | None = None,
    measure_recall: RecallMeasurement | None = None,
) -> Path:
    """Write a complete index into a directory of its own, everything on disk when it returns.

    What an interrupted writer left in `work` is overwritten. The same contents give the same bytes.

    Args:
        contents: The finished build.
        work: A sibling of the place where the index will be published.
        progress: Called after every block.
        measure_recall: Measures the recall of compressed search (`byline.search.recall.measure_recall`). Exact search
            needs none.

    Returns:
        `work`.

    Raises:
        BuildFailed: The parts do not have the same rows, a number is not finite, or `work` holds other things.
        InvalidTask: The examples are not as many as the rows, or their ids not unique.
    """
    _check_columns(contents)
    _prepare(work)
    stretches = _scaled(contents, progress)
    vectors = _write_rows(contents, stretches, work, progress)
    _watch(
        write_examples(work / EXAMPLES, contents.examples(), contents.rows),
        "examples",
        contents.rows,
        progress,
    )
    _write_groups(work, vectors, progress)
    _write_columns(contents, work)
    _write_states(contents, work)
    search = write_search(contents, stretches, vectors, work, progress, measure_recall)
    if contents.storage.keep == "codes":
        shutil.rmtree(work / "vectors")
    sync_tree(work)
    write_manifest(work, _manifest(contents, stretches, search, work, progress))
    sync(work)
    return work


def _check_columns(contents: IndexContents) -> None:
    columns = {"self_influence": contents.self_influence, "row_weights": contents.row_weights}
    for name, column in columns.items():
        if column is not None and (column.shape != (contents.rows,) or not np.isfinite(column).all()):
            raise BuildFailed(
                f"expected {name} to be {contents.rows} finite numbers, got shape {column.shape} with "
                f"{int((~np.isfinite(column)).sum())} that are not: where the loss is in a very small or large unit, "
                f"multiply it by a constant"
            )
    if set(contents.states) != {member.name for member in contents.members}:
        raise BuildFailed(f"expected one state for each of the {len(contents.members)} members")


def _prepare(work: Path) -> None:
    if work.exists():
        known = {*FOLDERS, EXAMPLES, f"{EXAMPLES}-journal", SEARCH, MANIFEST}
        strangers = {path.name for path in work.iterdir()} - known
        if strangers:
            raise BuildFailed(
                f"{work}: holds {len(strangers)} entries that do not belong to an index: choose another place"
            )
        shutil.rmtree(work)
    for folder in FOLDERS:
        (work / folder).mkdir(parents=True)


def _watch(steps: Iterator[int], what: str, total: int, progress: Progress | None) -> None:
    for done in steps:
        if progress is not None:
            progress(what, done, total)


def _features(contents: IndexContents) -> Iterator[NDArray[np.float32]]:
    width = sum(stretch.width for stretch in contents.stretches)
    return weighted_blocks(contents.features(), contents.row_weights, (contents.rows, width))


def _scaled(contents: IndexContents, progress: Progress | None) -> tuple[Stretch, ...]:
    if contents.storage.dtype == "fp32" and contents.storage.search == "exact":
        return tuple(_with_exponent(stretch, 0) for stretch in contents.stretches)

    def watched() -> Iterator[NDArray[np.float32]]:
        done = 0
        for block_BK in _features(contents):
            yield block_BK
            done += len(block_BK)
            if progress is not None:
                progress("scales", done, contents.rows)

    largest = largest_magnitudes(watched(), contents.stretches)
    return tuple(
        _with_exponent(stretch, fp16_exponent(number))
        for stretch, number in zip(contents.stretches, largest, strict=True)
    )


def _with_exponent(stretch: Stretch, exponent: int) -> Stretch:
    return stretch.model_copy(update={"scale_exponent": exponent})


def _write_rows(
    contents: IndexContents,
    stretches: tuple[Stretch, ...],
    work: Path,
    progress: Progress | None,
) -> VectorRows:
    storage, rows = contents.storage, contents.rows
    steps = write_vectors(_features(contents), work, stretches, rows, storage)
    _watch(steps, "vectors", rows, progress)
    paths = [work / shard_file(number) for number in range(-(-rows // storage.shard_rows))]
    return VectorRows.open_shards(paths, sum(stretch.width for stretch in stretches), storage, rows)


def _write_groups(work: Path, vectors: VectorRows, progress: Progress | None) -> None:
    store = ExampleStore(work / EXAMPLES)
    try:
        owner_rows, owners = store.owner_numbers(), len(store.owners())
    finally:
        store.close()
    _save(work / OWNER_ROWS, owner_rows)
    owned = int(np.count_nonzero(owner_rows >= 0))
    _watch(write_owner_sums(work / OWNER_SUMS, vectors, owner_rows, owners), "owners", owned, progress)


def _write_columns(contents: IndexContents, work: Path) -> None:
    _save(work / SELF_INFLUENCE, contents.self_influence.astype(np.float64))
    if contents.groups is not None:
        _save(work / GROUP_MEMBERS, contents.groups.members.rows_R)
        _save(work / GROUP_ENDS, contents.groups.members.ends_J)
    if contents.row_weights is not None:
        _save(work / ROW_WEIGHTS, contents.row_weights.astype(np.float64))
    if contents.item_digests is not None:
        _save(work / ITEM_DIGESTS, contents.item_digests.astype(np.uint64))


def _save(path: Path, array: NDArray[Any]) -> None:
    with durable_file(path) as file:
        np.save(file, array, allow_pickle=False)


def _write_states(contents: IndexContents, work: Path) -> None:
    for name, state in contents.states.items():
        separate = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in sorted(state.items())}
        write_tensors(work / curvature_file(name), separate)


def _manifest(
    contents: IndexContents,
    stretches: tuple[Stretch, ...],
    search: SearchRecord,
    work: Path,
    progress: Progress | None,
) -> Manifest:
    paths = sorted(path for path in work.rglob("*") if path.is_file())
    files = {}
    for done, path in enumerate(paths, start=1):
        files[path.relative_to(work).as_posix()] = FileRecord(
            size=path.stat().st_size, sha256=sha256_of(path)
        )
        if progress is not None:
            progress("checksums", done, len(paths))
    return Manifest(
        fingerprint=contents.fingerprint,
        recipe=contents.recipe.model_dump(mode="json"),
        blocks=contents.blocks,
        parameters=contents.parameters,
        task=contents.task,
        rows=contents.rows,
        groups=None if contents.groups is None else contents.groups.record,
        members=tuple(s for s in stretches if isinstance(s, MemberLayout)) or contents.members,
        rotation=next((s for s in stretches if isinstance(s, RotationLayout)), None),
        storage=contents.storage,
        search=search,
        build=dict(contents.build),
        libraries=libraries(),
        files=files,
    )
