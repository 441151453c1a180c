"""Documents are cut into chunks that lead back to them."""

from itertools import pairwise

import pytest

from byline.errors import InvalidTask
from byline.tasks import Document, LocalModel, causal_language_model
from tests.byline.tasks.test_causal_lm import CONTEXT


def test_chunks_lead_back_to_their_documents(task, documents, local):
    tokenizer_text = {}
    seen: dict[str, int] = {}
    for row in range(len(task.train_set)):
        example = task.describe(row)
        document = next(d for d in documents if d.uri == example.uri)
        start, end = example.attributes["start"], example.attributes["end"]
        assert example.owner == document.owner
        assert example.id == f"{document.id}#{seen.get(document.id, 0)}"
        seen[document.id] = seen.get(document.id, 0) + 1
        assert document.text[start:end].startswith(example.preview[:20])
        assert len(task.train_set[row]["input_ids"]) <= CONTEXT
        tokenizer_text.setdefault(document.id, []).append((start, end))
    for spans in tokenizer_text.values():
        assert spans[0][0] == 0
        assert all(a[1] >= b[0] for a, b in pairwise(spans)), "no gap"
    assert set(seen) == {d.id for d in documents}


def test_short_rests_are_dropped_and_short_documents_kept(lm_folder):
    local = LocalModel(folder=lm_folder, shortest=8)
    documents = [Document(text="é" * (8 * lines) + "é") for lines in (1, 2)] + [Document(text="éé")]
    lengths: dict[str, list[int]] = {}
    task = causal_language_model("tiny", local, documents)
    for row in range(len(task.train_set)):
        document = task.describe(row).id.split("#")[0]
        lengths.setdefault(document, []).append(len(task.train_set[row]["input_ids"]))
    for parts in lengths.values():
        assert all(length >= 8 for length in parts[1:])
    assert len(lengths) == 3


def test_documents_without_ids_are_named_by_content_and_duplicates_stay_apart(local):
    twice = [Document(text="x = 1\n"), Document(text="x = 1\n"), Document(text="y = 2\n")]
    task = causal_language_model("tiny", local, twice)
    ids = [task.describe(i).id for i in range(3)]
    assert len(set(ids)) == 3
    assert ids[1] == ids[0].replace("#0", "~2#0")


def test_the_same_id_twice_is_refused(local):
    with pytest.raises(InvalidTask, match="2 different ids, got 1"):
        causal_language_model("tiny", local, [Document(text="a b", id="1"), Document(text="c d", id="1")])
