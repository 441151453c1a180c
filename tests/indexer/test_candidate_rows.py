"""Candidates are read as a build reads training data: the same items from every kind of file, and payloads elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from byline.errors import BylineError, InvalidInput, InvalidQuery
from byline.task import QueryInterface, Task
from byline.tasks import Columns, causal_language_model
from byline_indexer.candidate_rows import CandidateSource
from tests.indexer import tiny_task

ROWS = [
    {"body": "abcd " * 12, "author": "ada", "id": "one"},
    {"body": "dcba", "author": None, "id": "two"},
]
COLUMNS = Columns(text="body", owner="author")


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("language")
    vocabulary = {letter: place for place, letter in enumerate(["<pad>", "<unk>", *"abcd "])}
    characters = Tokenizer(models.WordLevel(vocabulary))
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    characters.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=characters, **{f"{name}_token": f"<{name}>" for name in ("pad", "unk")}
    ).save_pretrained(folder)
    config = GPT2Config(vocab_size=len(vocabulary), n_positions=16, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def interface(task: Task) -> QueryInterface:
    assert task.query is not None
    return task.query


def forms(folder: Path, rows: list[dict[str, Any]]) -> list[Any]:
    """The rows as a list, and in files of every kind."""
    import datasets

    table = datasets.Dataset.from_list(rows)
    table.to_parquet(folder / "rows.parquet")
    table.to_csv(folder / "rows.csv")
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
    (folder / "rows.json").write_text(json.dumps(rows))
    return [rows, table, *(folder / f"rows.{kind}" for kind in ("parquet", "csv", "jsonl", "json"))]


def test_documents_are_the_items_of_a_build(language: Path, tmp_path: Path) -> None:
    task = causal_language_model("t", language, ROWS, columns=COLUMNS)
    trained = [task.train_set[row] for row in range(len(task.train_set))]
    assert len(trained) > 2
    for data in forms(tmp_path, ROWS):
        found = list(CandidateSource(data, interface(task), COLUMNS).candidates())
        assert [(number, own) for number, _, own in found] == [(1, "one"), (2, "two")]
        items = [item for _, candidate, _ in found for item in candidate.items]
        assert len(items) == len(trained)
        for item, expected in zip(items, trained, strict=True):
            assert torch.equal(item["input_ids"], expected["input_ids"])
            assert torch.equal(item["labels"], expected["labels"])


def test_a_line_may_have_a_completion_that_the_first_one_has_not(language: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text('{"text": "abcd"}\n{"text": "ab", "completion": "cd"}\n')
    query = interface(causal_language_model("t", language, ["abcd"]))
    for data in (tmp_path / "new.jsonl", [{"text": "abcd"}, {"text": "ab", "completion": "cd"}]):
        plain, completed = (each.items[0] for _, each, _ in CandidateSource(data, query).candidates())
        assert torch.equal(plain["input_ids"], completed["input_ids"])
        assert ((plain["labels"] == -100).sum(), (completed["labels"] == -100).sum()) == (0, 2)


def test_a_row_that_cannot_be_trained_on_is_named(language: Path) -> None:
    query = interface(causal_language_model("t", language, ["abcd"]))
    with pytest.raises(InvalidQuery, match="the data, row 2: expected at least 2 tokens"):
        list(CandidateSource(["abcd", "a"], query).candidates())
    with pytest.raises(BylineError, match="none of the usual names in the columns 'body'"):
        list(CandidateSource([{"body": "abcd"}], query).candidates())


def test_payloads_come_from_tables_too(tmp_path: Path) -> None:
    task = tiny_task.task()
    points = [task.train_set[row] for row in range(3)]
    rows = [{"x": x.tolist(), "label": int(label), "id": str(row)} for row, (x, label) in enumerate(points)]
    for data in [form for form in forms(tmp_path, rows) if not str(form).endswith(".csv")]:
        found = list(CandidateSource(data, interface(task)).candidates())
        assert [own for _, _, own in found] == ["0", "1", "2"]
        for (_, candidate, _), (x, label) in zip(found, points, strict=True):
            torch.testing.assert_close(candidate.items[0][0], x)
            assert int(candidate.items[0][1]) == int(label)
    with pytest.raises(InvalidInput, match="leave them out"):
        CandidateSource(rows, interface(task), COLUMNS)
    with pytest.raises(InvalidQuery, match="the data, row 2"):
        list(CandidateSource([rows[0], {"x": [0.0]}], interface(task)).candidates())
    with pytest.raises(InvalidInput, match="at least one candidate"):
        list(CandidateSource([], interface(task)).candidates())
