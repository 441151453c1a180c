"""Rows of texts, completions and chats: the same tokens as one by one, from places alone, and refused by position."""

import json
import os
import tracemalloc
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from byline.errors import InvalidTask
from byline.tasks import Columns, Document
from byline.tasks.chunks import ChunkOptions, Chunks
from byline.tasks.documents import IGNORED
from byline.tasks.rows import documents_of
from byline.tasks.tokenizer import Tokens
from tests.byline.tasks.chat_templates import CHAT, chat_tokenizer

CUT = ChunkOptions(context=16)


@pytest.fixture
def tokens(tokenizer_folder: Path) -> Tokens:
    return Tokens(chat_tokenizer(tokenizer_folder))


@pytest.mark.parametrize("start_token", [False, True])
def test_chunks_are_those_of_the_whole_text(tokenizer_folder: Path, start_token: bool) -> None:
    tokens = Tokens(tokenizer_folder, start_token=start_token)
    texts = [f"def f{n}(a):\n    return a * {n} + é\n" * (1 + n) for n in range(9)]
    chunks = Chunks([Document(text=text) for text in texts], tokens, CUT)
    head = list(tokens.head)
    expected, places = [], []
    for text in texts:
        ids, spans = tokens.encode(text)
        size = 16 - len(head)
        for first in range(0, len(ids), size):
            if len(ids[first : first + size]) >= 2:
                expected.append([*head, *ids[first : first + size]])
                places.append((spans[first][0], spans[min(first + size, len(ids)) - 1][1]))
    found = [chunks[row] for row in range(len(chunks))]
    assert [item["input_ids"].tolist() for item in found] == expected
    assert all(torch.equal(item["input_ids"], item["labels"]) for item in found)
    described = [chunks.describe(row).attributes for row in range(len(chunks))]
    assert [(each["start"], each["end"]) for each in described] == places
    with pytest.raises(IndexError):
        chunks[len(chunks)]
    for row in (
        np.random.default_rng(0).permutation(len(chunks)).tolist()
    ):  # whatever is kept of the last rows
        assert chunks[row]["input_ids"].tolist() == expected[row]


def test_chats(tokens: Tokens) -> None:
    chunks = Chunks([Document(messages=CHAT, owner="Ann")], tokens, ChunkOptions(context=128))
    item, example = chunks[0], chunks.describe(0)
    targets = item["labels"] != IGNORED
    assert tokens.decode(item["input_ids"][targets].tolist()) == "osadd(a, b)", "without special tokens"
    assert (example.owner, example.preview, example.attributes) == ("Ann", "import?\nos", {"chunk": 0})


def test_the_prompt_of_a_chat_has_no_loss_and_names_another_row(tokens: Tokens) -> None:
    rows = [{"messages": CHAT}, {"prompt": CHAT[:4], "completion": CHAT[4:]}]
    whole, half = (Chunks(documents_of([row]), tokens, ChunkOptions(context=128)) for row in rows)
    assert torch.equal(whole[0]["input_ids"], half[0]["input_ids"])
    targets = half[0]["labels"] != IGNORED
    assert tokens.decode(half[0]["input_ids"][targets].tolist()) == "add(a, b)"
    assert half.describe(0).preview == "def?\nadd(a, b)"
    assert whole.describe(0).id != half.describe(0).id


@pytest.mark.parametrize("too_long", ["truncate", "drop", "error"])
def test_what_is_too_long(tokens: Tokens, too_long: str) -> None:
    short, long = Document(text="x =", completion=" 1"), Document(text="x =", completion=" 1 + é" * 9)
    cut = ChunkOptions(context=16, too_long=too_long)  # type: ignore[arg-type]  # each of them
    if too_long == "error":
        with pytest.raises(InvalidTask, match=r"16 together, got .* at position 1: .* too_long='truncate'"):
            Chunks([short, long], tokens, cut)
        return
    chunks = Chunks([short, long, short], tokens, cut)
    assert [len(chunks[row]["input_ids"]) == 16 for row in range(len(chunks))] == (
        [False, True, False] if too_long == "truncate" else [False, False]
    )
    assert chunks.describe(len(chunks) - 1).id.split("#")[0].endswith("~2")


def test_a_prompt_that_fills_the_context_is_refused_with_the_way_out(tokens: Tokens) -> None:
    with pytest.raises(InvalidTask, match=r"at position 1: shorten the prompt, .* too_long='drop'") as error:
        Chunks([Document(text="a b"), Document(text="secret " * 40, completion="1")], tokens, CUT)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"messages": [{"role": "user", "content": "secret"}]}],
            "an assistant's turn, .* of the row at position 0",
        ),
        (
            [{"messages": CHAT}, {"messages": [{"role": "x", "content": "secret"}]}],
            "of the row at position 1",
        ),
        (
            [{"text": "a b"}, {"text": ""}],
            "at least 2 tokens in every document, got 0 in the one at position 1",
        ),
        ([{"prompt": "", "completion": "a"}], "one token each .* in the document at position 0"),
        ([{"text": "a b", "id": "1"}, {"text": "c d", "id": 1}], "those at positions 0 and 1 are the same"),
    ],
)
def test_rows_that_do_not_fit_are_named(tokens: Tokens, rows: list, message: str) -> None:
    with pytest.raises(InvalidTask, match=message) as error:
        Chunks(documents_of(rows), tokens, ChunkOptions(context=128))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_lists_data_sets_and_files_give_the_same_rows(tokens: Tokens, tmp_path: Path) -> None:
    rows = [{"body": f"x = {n}\n" * (n + 1), "author": f"a{n}", "stars": n} for n in range(5)] * 2
    columns = Columns(text="body", owner="author", attributes=("stars",))
    data = datasets.Dataset.from_list(rows)
    data.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = [
        Chunks(documents_of(source, columns), tokens, CUT)
        for source in (rows, data, tmp_path / "rows.parquet", tmp_path / "rows.jsonl")
    ]
    for other in made[1:]:
        assert len(other) == len(made[0])
        for row in range(len(other)):
            assert torch.equal(other[row]["input_ids"], made[0][row]["input_ids"])
            assert other.describe(row) == made[0].describe(row)
    assert made[0].describe(0).attributes["stars"] == 0
    assert len({made[0].describe(row).id for row in range(len(made[0]))}) == len(made[0]), (
        "twins are told apart"
    )


def test_a_file_is_not_kept_in_memory(tokens: Tokens, tmp_path: Path) -> None:
    """What stays of a file is its rows' places: a few bytes for each."""
    path, text = tmp_path / "rows.jsonl", "def add(a, b):\n    return a + b\n" * 30
    with path.open("w") as file:
        file.writelines(json.dumps({"text": f"{n} {text}", "id": n}) + "\n" for n in range(1000))
    cut = ChunkOptions(context=128)
    Chunks(documents_of(path), tokens, cut)[0]  # imports, and what the tokenizer keeps
    tracemalloc.start()
    chunks = Chunks(documents_of(path), tokens, cut)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(chunks) >= 3000
    assert path.stat().st_size > 950_000
    assert kept < 150_000, "16 bytes a line, 16 a document and 16 a chunk"
    assert peak < 600_000, "a batch of rows"


def test_places_of_a_large_file_are_found_again(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process encodes no row before one is asked for; another file, tokenizer or length begins anew."""
    from byline.tasks import chunks as module

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_CACHED", 1)
    path, plain = tmp_path / "rows.jsonl", Tokens(tokenizer_folder)
    rows = [{"text": f"x = {n % 3}\n" * 9} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def kept() -> int:
        return len(list(tmp_path.glob("cache/byline/chunks/*.npz")))

    first = Chunks(documents_of(path), plain, CUT)
    assert kept() == 1
    with monkeypatch.context() as closed:
        closed.setattr(Tokens, "encode_all", None)
        second = Chunks(documents_of(path), plain, CUT)
    for row in range(len(first)):
        assert torch.equal(first[row]["input_ids"], second[row]["input_ids"])
        assert first.describe(row) == second.describe(row)
    assert "~2" in second.describe(len(second) - 1).id
    Chunks(documents_of(path), plain, ChunkOptions(context=8))
    Chunks(documents_of(path), Tokens(tokenizer_folder, start_token=True), CUT)
    path.write_text(json.dumps(rows[0]) + "\n")
    assert len(Chunks(documents_of(path), plain, CUT)) < len(first)
    assert kept() == 4
    for file in tmp_path.glob("cache/byline/chunks/*"):
        file.write_bytes(b"damaged")
    assert len(Chunks(documents_of(path), plain, CUT)) < len(first)
    for file in tmp_path.glob("cache/byline/chunks/*"):
        np.savez(file, first_D=[0, 9], places_R2=np.zeros((4, 2), int), repeats_K2=np.zeros((0, 2), int))
    assert len(Chunks(documents_of(path), plain, CUT)) < len(first)


def test_a_file_of_the_same_size_and_time_is_encoded_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    states = set()
    for word in ("one", "two"):
        path.write_text(json.dumps({"text": word}) + "\n")
        os.utime(path, ns=(10**18, 10**18))
        states.add(documents_of(path).state)
    assert len(states) == 2


def test_a_user_without_a_home_keeps_no_places(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(*_: object, **__: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_cache_path", homeless)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "x = 1"}) + "\n")
    assert len(Chunks(documents_of(path), Tokens(tokenizer_folder), CUT)) == 1


def test_a_token_beyond_the_embedding_blames_its_row(tokens: Tokens) -> None:
    texts = ["x = 1", "import os", "secret return"]
    largest = [max(tokens.encode(text)[0]) for text in texts]
    size = sorted(largest)[-1]
    position = largest.index(size)
    rows = [Document(text=text) for text in texts]
    with pytest.raises(
        InvalidTask,
        match=rf"ids below {size}, the rows .*, got {size} in the document at position {position}: pass the tokenizer",
    ) as error:
        Chunks(rows, tokens, ChunkOptions(context=16, embedding=size))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert len(Chunks(rows, tokens, ChunkOptions(context=16, embedding=size + 1))) == 3
    with pytest.raises(InvalidTask, match="position 0"):
        Chunks([Document(messages=CHAT)], tokens, ChunkOptions(context=128, embedding=5))
