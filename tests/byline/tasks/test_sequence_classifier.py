from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from byline.errors import InputTooLarge, InvalidQuery, InvalidTask
from byline.tasks import Document, LocalModel, sequence_classifier

DOCUMENTS = [
    Document(text="a good thing", label="good", owner="Ann"),
    Document(text="bad", label="bad"),
    Document(text="a good thing", label="good", owner="Bob"),
    Document(text="a very long text " * 30, label="bad"),
]


@pytest.fixture(scope="module")
def folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=300,
        n_positions=16,
        n_embd=8,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        id2label={0: "good", 1: "bad"},
        label2id={"good": 0, "bad": 1},
    )
    folder = tmp_path_factory.mktemp("classifier")
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def task(folder):
    return sequence_classifier("mood", LocalModel(folder=folder), DOCUMENTS)


def test_loss_and_margin_are_those_of_the_logits_and_blind_to_padding(task):
    model = task.model().to(torch.float64)
    items = [task.train_set[i] for i in range(4)]
    together = task.loss(model, task.collate(items))
    for i, item in enumerate(items):
        logits = model(input_ids=item["input_ids"][None]).logits
        alone = F.cross_entropy(logits, item["labels"][None])
        torch.testing.assert_close(together[i], alone, rtol=1e-10, atol=1e-12)
        p = logits.softmax(-1)[0, item["labels"]]
        margin = task.targets["margin"](model, task.collate([item]))
        torch.testing.assert_close(margin[0], torch.log(p / (1 - p)))


def test_baselines_have_what_they_compare(task):
    model, items = task.model(), [task.train_set[i] for i in range(4)]
    together_ND = task.representation(model, task.collate(items))
    alone_1D = task.representation(model, task.collate(items[1:2]))
    torch.testing.assert_close(together_ND[1:2], alone_1D)
    assert [task.label(item) for item in items] == [task.describe(row).label for row in range(4)]
    assert task.text(items[1]) == "bad"


def test_training_texts_are_cut_and_long_queries_refused(task):
    assert len(task.train_set[3]["input_ids"]) == 16
    with pytest.raises(InputTooLarge, match="at most 16 tokens"):
        task.query.parse(task.query.payload(text="é" * 40))


def test_metadata_and_distinct_ids(task):
    examples = [task.describe(i) for i in range(4)]
    assert len({e.id for e in examples}) == 4
    assert examples[2].owner == "Bob"
    assert examples[3].label == "bad"


def test_a_query_without_a_label_takes_the_most_probable_class(task):
    model = task.model()
    parsed = task.query.parse(task.query.payload(text="a thing"))
    assert not parsed.complete
    predicted = task.query.predict(model, parsed.item)
    logits = model(input_ids=parsed.item["input_ids"][None]).logits[0]
    assert predicted.item["labels"].item() == logits.argmax().item()
    assert predicted.output["label"] in {"good", "bad"}


def test_labels_that_name_no_class_are_refused(task, folder):
    with pytest.raises(InvalidQuery, match="2 classes"):
        task.query.parse(task.query.payload(text="a", label="ugly"))
    with pytest.raises(InvalidTask, match="first at position 0"):
        sequence_classifier("mood", LocalModel(folder=folder), [Document(text="a", label="x")])


def test_tokens_beyond_the_embedding_are_told(folder, monkeypatch):
    monkeypatch.setattr(LocalModel, "embedding", lambda self, config: 3)
    task = sequence_classifier("mood", LocalModel(folder=folder), DOCUMENTS)
    with pytest.raises(InvalidTask, match=r"ids below 3, the rows of the model's embedding, got \d+: pass"):
        task.train_set[0]
    with pytest.raises(InvalidQuery, match="ids below 3"):
        task.query.parse(task.query.payload(text="a good thing"))
    with pytest.raises(InvalidQuery, match="ids below 3"):
        task.query.document(DOCUMENTS[0])


def test_a_candidate_is_cut_as_a_training_text(task):
    for row, document in enumerate(DOCUMENTS):
        (item,) = task.query.document(document)
        for name, values in task.train_set[row].items():
            assert torch.equal(item[name], values)
    with pytest.raises(InvalidQuery, match="one of the 2 classes"):
        task.query.document(Document(text="a", label="ugly"))
