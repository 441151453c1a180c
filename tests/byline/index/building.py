"""Small finished builds to write indexes from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from byline.api.example import Example
from byline.gradients.outer_products.blocks import Block
from byline.gradients.report import ParameterReport
from byline.index.contents import IndexContents
from byline.index.fingerprint import Fingerprint
from byline.index.index import AttributionIndex
from byline.index.layout import MemberLayout, StorageOptions, TaskRecord
from byline.index.writer import write_index
from byline.recipes import recipe
from byline.search.recall import measure_recall

OWNERS = ("ada", "grace", "edsger", None)
LICENSES = ("MIT", "BSD-3-Clause")


def heavy_tailed(rows: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Gradient-like vectors: power-law spectrum, log-normal lengths."""
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((rows, width)) * np.arange(1, width + 1) ** -0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors * np.exp(generator.standard_normal((rows, 1)))).astype(np.float32)


def layouts(*widths: int) -> tuple[MemberLayout, ...]:
    return tuple(MemberLayout(name=f"c{c}", checkpoint=c, width=width) for c, width in enumerate(widths))


def example(row: int) -> Example:
    return Example(
        id=f"point-{row}",
        owner=OWNERS[row % len(OWNERS)],
        license=LICENSES[row % len(LICENSES)],
        label=str(row % 5),
        uri=f"file:///data/{row}",
        preview=f"the text of {row}",
        attributes={"chunk": row % 3, "split": "train", "clean": row % 2 == 0},
    )


def contents_of(
    features: NDArray[np.float32],
    *,
    widths: tuple[int, ...] | None = None,
    row_weights: NDArray[np.float64] | None = None,
    block: int = 64,
    **storage: Any,
) -> IndexContents:
    members = layouts(*(widths or (features.shape[1],)))
    options = StorageOptions(**storage)
    chosen = recipe("grad_dot")
    build = {"block_rows": 64}

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(features), block):
            yield features[start : start + block]

    return IndexContents(
        recipe=chosen,
        fingerprint=Fingerprint.of(
            recipe=chosen, weights=["w"], data="d", task="t", storage=options, build=build
        ),
        task=TaskRecord(reference="task.py:task", digest="t", name="small"),
        blocks=(Block(name="w", parameters=("w",), shapes=((4, 3),), form="matrix"),),
        parameters=ParameterReport(attributed=("w",)),
        members=members,
        rows=len(features),
        features=blocks,
        row_weights=row_weights,
        self_influence=np.square(features.astype(np.float64)).sum(axis=1),
        examples=lambda: map(example, range(len(features))),
        states={member.name: {"fisher": torch.eye(2)} for member in members},
        build=build,
        storage=options,
    )


def build(path: Path, features: NDArray[np.float32], **options: Any) -> AttributionIndex:
    """Write an index of these features and open it."""
    return AttributionIndex.open(
        write_index(contents_of(features, **options), path, measure_recall=measure_recall)
    )
