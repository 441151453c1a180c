"""Metadata comes back as it went in, and filters let through what a loop over all rows would."""

import math
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from byline.api.example import Example
from byline.api.query import Filter
from byline.errors import CorruptIndex, InvalidQuery, InvalidTask, NotFound
from byline.index.examples import ExampleStore, write_examples
from tests.byline.index.building import example

ROWS = 2_345
ODD = Example(
    id="ö/'; DROP TABLE examples; --",
    owner='Ünal "the" O\'Hara',
    license="MIT OR Apache-2.0",
    preview="line\nbreak \U0001f600 \x00 end",
    attributes={"deep": {"list": [1, None]}, 'a"b': 1, "n": 1, "t": True, "none": None, "x": 0.5, "1": "1"},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any) -> ExampleStore:
    path = tmp_path_factory.mktemp("examples") / "examples.sqlite"
    assert list(write_examples(path, [*map(example, range(ROWS - 1)), ODD], ROWS))[-1] == ROWS
    return ExampleStore(path)


def test_rows_lead_back_to_their_examples(store: ExampleStore) -> None:
    rows = [3, 2_344, 0, 3]
    assert store.by_rows(np.array(rows)) == [example(3), ODD, example(0), example(3)]
    assert store.by_rows(range(ROWS - 1)) == [example(row) for row in range(ROWS - 1)]
    assert store.by_rows([]) == []
    assert store.row_of("point-1234") == 1234
    assert store.row_of(ODD.id) == ROWS - 1


def test_what_is_not_there(store: ExampleStore) -> None:
    with pytest.raises(NotFound):
        store.by_rows([0, ROWS])
    with pytest.raises(NotFound):
        store.row_of("nobody")
    with pytest.raises(InvalidQuery):
        store.row_of("\ud800")


def test_pages_follow_the_key(store: ExampleStore) -> None:
    seen: list[int] = []
    while page := store.page(seen[-1] if seen else -1, 500):
        seen += [row for row, _ in page]
    assert seen == list(range(ROWS))


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"id": ["point-7", ODD.id, "nobody"]},
        {"owner": ["ada", "grace"]},
        {"owner": []},
        {"license": ["MIT"], "label": ["0", "2"]},
        {"attributes": {"chunk": 2}},
        {"attributes": {"chunk": 2.0, "split": "train"}},
        {"attributes": {"clean": True}},
        {"attributes": {"clean": 1}},
        {"attributes": {"n": True}},
        {"attributes": {"t": True, "none": None, 'a"b': 1, "x": 0.5, "1": "1"}},
        {"attributes": {"split": None}},
        {"attributes": {"split": "' OR 1 --"}},
        {"attributes": {"deep": "anything"}},
        {"owner": [ODD.owner], "license": [ODD.license]},
    ],
)
def test_filters_agree_with_a_loop(store: ExampleStore, chosen: dict[str, Any]) -> None:
    def passes(one: Example) -> bool:
        fields = {"id": one.id, "owner": one.owner, "license": one.license, "label": one.label}
        return all(fields[name] in values for name, values in chosen.items() if name in fields) and all(
            key in one.attributes
            and one.attributes[key] == value
            and isinstance(one.attributes[key], bool) == isinstance(value, bool)
            for key, value in chosen.get("attributes", {}).items()
        )

    everything = [*map(example, range(ROWS - 1)), ODD]
    expected = [row for row, one in enumerate(everything) if passes(one)]
    rows = store.rows_matching(Filter.model_validate(chosen))
    assert rows.dtype == np.int64
    assert rows.tolist() == expected


@pytest.mark.parametrize("value", [2**63, -(2**64)])
def test_integers_beyond_64_bits_are_refused(store: ExampleStore, value: int) -> None:
    with pytest.raises(InvalidQuery, match="64 bits"):
        store.rows_matching(Filter(attributes={"n": value}))


def test_lone_surrogates_are_refused(store: ExampleStore) -> None:
    for chosen in ({"owner": ["\ud800"]}, {"attributes": {"\ud800": 1}}, {"attributes": {"n": "\ud800"}}):
        with pytest.raises((InvalidQuery, ValidationError)):
            store.rows_matching(Filter.model_validate(chosen))


def test_owners_are_numbered_by_name(store: ExampleStore) -> None:
    owners = store.owners()
    names = [name for name, _, _ in owners]
    assert names == sorted(names)
    assert names == [ODD.owner, "ada", "edsger", "grace"] or set(names) == {
        ODD.owner,
        "ada",
        "edsger",
        "grace",
    }
    numbers = store.owner_numbers()
    everything = [*map(example, range(ROWS - 1)), ODD]
    assert [None if n < 0 else names[n] for n in numbers] == [one.owner for one in everything]
    for name, count, licenses in owners:
        assert count == sum(one.owner == name for one in everything)
        assert licenses == sorted({one.license for one in everything if one.owner == name})


def test_licenses_are_counted_commonest_first(store: ExampleStore) -> None:
    everything = [*map(example, range(ROWS - 1)), ODD]
    counts = Counter(one.license for one in everything)
    assert dict(store.licenses()) == counts
    assert [count for _, count in store.licenses()] == sorted(counts.values(), reverse=True)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        list(write_examples(tmp_path / name, map(example, range(300)), 300))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_bad_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTask, match="unique"):
        list(write_examples(tmp_path / "a", [example(1), example(1)], 2))
    with pytest.raises(InvalidTask, match="expected 3"):
        list(write_examples(tmp_path / "b", [example(1), example(2)], 3))
    with pytest.raises(InvalidTask, match="Unicode"):
        list(
            write_examples(
                tmp_path / "c", [Example.model_construct(**{**dict(example(1)), "owner": "\ud800"})], 1
            )
        )
    with pytest.raises(InvalidTask, match="row 0: expected finite"):
        list(write_examples(tmp_path / "d", [Example.model_construct(id="a", attributes={"x": math.nan})], 1))


def test_a_file_that_sqlite_cannot_read_is_corrupt(tmp_path: Path) -> None:
    list(write_examples(tmp_path / "a", map(example, range(9)), 9))
    with sqlite3.connect(tmp_path / "a") as connection:
        connection.execute("ALTER TABLE examples RENAME COLUMN owner TO somebody")
    store = ExampleStore(tmp_path / "a")
    for read in (
        lambda: store.rows_matching(Filter(owner=["ada"])),
        store.owner_numbers,
        lambda: store.by_rows([1]),
    ):
        with pytest.raises(CorruptIndex, match="SQLite cannot read"):
            read()


def test_thumbnails_lie_beside_the_rows(tmp_path: Path) -> None:
    examples = [
        Example(id=str(row), image=np.full((3, 4), row % 256, dtype=np.uint8) if row % 3 == 1 else None)  # type: ignore[arg-type]
        for row in range(2_500)
    ]
    for name in ("a", "b"):
        for _ in write_examples(tmp_path / name, examples, len(examples)):
            pass
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    store = ExampleStore(tmp_path / "a")
    assert store.has_images
    rows = [2_499, 4, 1, 0]
    assert store.images(rows) == {4: examples[4].image, 1: examples[1].image}
    assert store.with_images(np.array(rows)) == {4, 1}
    assert store.by_rows([4])[0].image is None
    store.close()
