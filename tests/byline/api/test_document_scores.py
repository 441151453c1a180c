"""A document's paragraphs have the gradients of their own tokens, whichever chunks the tokens lie in."""

from typing import Any

import pytest
import torch

import byline
from byline.api.answer import Answer
from byline.errors import InvalidQuery
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from byline.task import Task
from byline.tasks import Document, LocalModel, causal_language_model

TEXT = "abcd ab cd\n\ndcba abc dd\n\nbb aa"
END = "<pad>"
QUERY = {"text": "ab", "completion": "cd"}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("letters")
    vocabulary = {letter: place for place, letter in enumerate([END, *"abcd \n"])}
    letters = Tokenizer(models.WordLevel(vocabulary))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=letters, eos_token=END).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(vocabulary), n_positions=16, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    documents = [
        Document(text=TEXT, id="long", owner="ada", uri="file:long"),
        Document(text="dada abba", id="short"),
        Document(text="ab", completion="cd", id="pair"),
    ]
    return causal_language_model("letters", LocalModel(folder=folder, context=8), documents)


@pytest.fixture(scope="module")
def opened(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Any:
    chosen = recipe("grad_dot", projection={"kind": "identity"})
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    return byline.build(task, chosen, tmp_path_factory.mktemp("index"), options, progress=False)


def gradient(task: Task, item: Any, tokens: range | None = None) -> torch.Tensor:
    """Gradient of an item's loss in float64, or of what some of its tokens have of it."""
    from safetensors.torch import load_file

    model = task.model()
    model.load_state_dict(load_file(task.checkpoints[0].weights), strict=False)  # type: ignore[arg-type]
    model.double()
    labels = item["labels"][None]
    targets = int((labels[:, 1:] != -100).sum())
    log_p = model(input_ids=item["input_ids"][None]).logits[0, :-1].log_softmax(-1)
    losses = -log_p[range(len(log_p)), labels[0, 1:].clamp(min=0)] * (labels[0, 1:] != -100)
    chosen = losses if tokens is None else losses[[t - 1 for t in tokens if t > 0]]
    grads = torch.autograd.grad(chosen.sum() / targets, list(model.parameters()))
    return torch.cat([grad.flatten() for grad in grads])


def asked(opened: Any, chunks: range) -> Answer:
    chosen = {"id": [f"long#{number}" for number in chunks]}
    answer: Answer = opened.attribute(QUERY, k=len(chunks), tokens=True, filter=chosen)
    return answer


def test_paragraphs_across_chunks_have_the_gradients_of_their_tokens(task: Task, opened: Any) -> None:
    (found,) = asked(opened, range(4)).by_document()
    assert (found.document, found.uri, found.owner, found.chunks) == (
        "long",
        "file:long",
        "ada",
        (0, 1, 2, 3),
    )
    assert [TEXT[each.start : each.end] for each in found.spans] == [
        "abcd ab cd\n\n",
        "dcba abc dd\n\n",
        "bb aa",
    ]
    assert task.query is not None
    query = gradient(task, task.query.parse(task.query.payload(**QUERY)).item)
    for span in found.spans:
        expected = 0.0
        for chunk in range(4):
            first = 8 * chunk
            inside = range(max(span.start - first, 0), max(min(span.end - first, 8), 0))
            own = range(inside.start, min(inside.stop, len(task.train_set[chunk]["input_ids"])))
            expected += float(query @ gradient(task, task.train_set[chunk], own)) if own else 0.0
        assert span.score == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert sum(span.score for span in found.spans) == pytest.approx(found.score, rel=1e-4)


def test_spans_are_of_the_document(opened: Any) -> None:
    answer = asked(opened, range(4))
    (whole,) = answer.by_document()
    (parts,) = answer.by_document([(0, 12), (12, len(TEXT)), (5, 5)])
    assert parts.spans[0].score == pytest.approx(whole.spans[0].score)
    assert parts.spans[1].score == pytest.approx(whole.spans[1].score + whole.spans[2].score)
    assert parts.spans[2].score == 0


def test_chunks_that_are_not_listed_end_a_paragraph(opened: Any) -> None:
    answer = asked(opened, range(4))
    some = [point for point in answer.proponents or () if point.example.id != "long#1"]
    (found,) = answer.model_copy(update={"proponents": tuple(some)}).by_document()
    assert found.chunks == (0, 2, 3)
    assert [(each.start, each.end) for each in found.spans] == [(0, 8), (16, 25), (25, 30)]
    assert sum(each.score for each in found.spans) == pytest.approx(
        sum(point.score for point in some), rel=1e-4
    )


def test_texts_that_a_service_hides_count_where_they_begin(opened: Any) -> None:
    answer = asked(opened, range(4))
    hidden = [
        point.model_copy(update={"tokens": point.tokens.model_copy(update={"texts": None})})
        for point in answer.proponents or ()
        if point.tokens is not None
    ]
    (found,) = answer.model_copy(update={"proponents": tuple(hidden)}).by_document()
    assert [(each.start, each.end) for each in found.spans] == [(0, 30)]
    assert found.spans[0].score == pytest.approx(found.score, rel=1e-4)


def test_points_of_other_kinds_and_answers_without_tokens(opened: Any) -> None:
    answer = opened.attribute(QUERY, k=9, tokens=True)
    found = answer.by_document()
    assert {each.document for each in found} == {"long", "short"}
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    with pytest.raises(InvalidQuery, match="ask with tokens=True"):
        opened.attribute(QUERY, k=1).by_document()
