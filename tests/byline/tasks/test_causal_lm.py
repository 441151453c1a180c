import math
import shutil
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from byline.errors import InputTooLarge, InvalidTask
from byline.members import Member
from byline.models.network import load_network
from byline.task import Task
from byline.tasks import Document, Generation, LocalModel, causal_language_model
from byline.tasks.documents import IGNORED


@pytest.fixture
def task(local: LocalModel, documents: list[Document]) -> Task:
    return causal_language_model("tiny", local, documents)


@pytest.fixture
def model(task: Task) -> nn.Module:
    from safetensors.torch import load_file

    model = task.model()
    missing = model.load_state_dict(load_file(task.checkpoints[0].weights), strict=False)  # type: ignore[arg-type]
    assert missing.missing_keys == ["lm_head.weight"], "GPT-2 ties its head to its embedding"
    return model.to(torch.float64)


CONTEXT = 16


def ask(task: Task, **payload: Any) -> Any:
    assert task.query is not None
    return task.query.parse(task.query.payload(**payload))


def losses(task: Task, model: nn.Module, items: list[Any], target: str = "loss") -> torch.Tensor:
    return task.objective(target)(model, task.collate(items))


def gradient(task: Task, model: nn.Module, items: list[Any], row: int) -> torch.Tensor:
    parameters = list(model.parameters())
    grads = torch.autograd.grad(losses(task, model, items)[row], parameters)
    return torch.cat([g.flatten() for g in grads])


def test_loss_is_the_mean_of_the_tokens_negative_log_probabilities(task, model):
    ids = task.train_set[0]["input_ids"]
    log_p = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    by_hand = -sum(log_p[t, ids[t + 1]] for t in range(len(ids) - 1)) / (len(ids) - 1)
    assert losses(task, model, [task.train_set[0]]).item() == pytest.approx(by_hand.item(), 1e-12)


def test_a_query_loss_is_that_of_the_completion_given_the_text(task, model):
    item = ask(task, text="def add(", completion="a, b)").item
    prompt = int((item["labels"] == IGNORED).sum())
    ids = item["input_ids"]
    log_p = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    chosen = torch.stack([log_p[t - 1, ids[t]] for t in range(prompt, len(ids))])
    assert losses(task, model, [item]).item() == pytest.approx(-chosen.mean().item(), 1e-12)
    raised = -losses(task, model, [item], "likelihood").item()
    assert raised == pytest.approx(chosen.sum().item(), 1e-12)
    p = math.exp(chosen.mean().item())
    margin = -losses(task, model, [item], "margin").item()
    assert margin == pytest.approx(math.log(p / (1 - p)), 1e-9)


def test_padding_changes_neither_loss_nor_gradient(task, model):
    items = sorted((task.train_set[i] for i in range(len(task.train_set))), key=lambda i: len(i["input_ids"]))
    short, long = items[0], items[-1]
    assert len(short["input_ids"]) < len(long["input_ids"])
    alone, padded = losses(task, model, [short]), losses(task, model, [short, long])
    torch.testing.assert_close(padded[:1], alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradient(task, model, [short, long], 0),
        gradient(task, model, [short], 0),
        rtol=1e-9,
        atol=1e-12,
    )


def test_a_representation_is_the_mean_of_the_last_states_and_blind_to_padding(task, model):
    items = [task.train_set[i] for i in range(3)]
    together = task.representation(model, task.collate(items))
    for found_D, item in zip(together, items, strict=True):
        states_TD = model.transformer(input_ids=item["input_ids"][None]).last_hidden_state[0]
        torch.testing.assert_close(found_D, states_TD.mean(0))
    assert task.text(items[0])


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


def test_training_completions_have_no_loss_on_their_prompt(local):
    task = causal_language_model("tiny", local, [Document(text="def f(", completion="x): pass")])
    item = task.train_set[0]
    prompt = int((item["labels"] == IGNORED).sum())
    assert 0 < prompt < len(item["labels"])
    torch.testing.assert_close(item["labels"][prompt:], item["input_ids"][prompt:])
    assert task.describe(0).preview == "def f(x): pass"


def test_a_prompt_that_does_not_fit_is_refused(local):
    with pytest.raises(InvalidTask, match=f"{CONTEXT} together"):
        causal_language_model("tiny", local, [Document(text="x = " * 60, completion="1")])


def test_a_start_token_makes_the_first_word_a_target(lm_folder):
    local = LocalModel(folder=lm_folder, start_token=True)
    task = causal_language_model("tiny", local, [Document(text="x = 1\n" * 30)])
    assert all(task.train_set[i]["input_ids"][0] == 0 for i in range(len(task.train_set)))
    assert all(len(task.train_set[i]["input_ids"]) <= CONTEXT for i in range(len(task.train_set)))
    assert ask(task, text="a", attribute="text").item["labels"].shape == (2,)


def test_a_missing_completion_is_generated_and_the_same_every_time(task, model):
    parsed = ask(task, text="def add(a")
    assert not parsed.complete
    first, second = (task.query.predict(model, parsed.item) for _ in range(2))
    assert first.output == second.output
    torch.testing.assert_close(first.item["input_ids"], second.item["input_ids"])
    count = int((first.item["labels"] != IGNORED).sum())
    assert count == first.output["tokens"] > 0
    likelihood = -losses(task, model, [first.item], "likelihood").item()
    assert first.output["probability"] == pytest.approx(math.exp(likelihood), 1e-6)
    mean = losses(task, model, [first.item]).item()
    assert first.output["token_probability"] == pytest.approx(math.exp(-mean), 1e-6)
    assert len(first.item["input_ids"]) <= CONTEXT


def test_sampling_depends_on_the_seed_alone(local, documents, model):
    def drawn(seed: int) -> list[int]:
        options = Generation(tokens=8, temperature=2.0, seed=seed)
        task = causal_language_model("tiny", local, documents, options)
        return task.query.predict(model, ask(task, text="def").item).item["input_ids"].tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize(
    "payload",
    [
        {"text": ""},
        {"text": 7},
        {"text": "a", "completion": ""},
        {"text": "a", "more": 1},
        {"text": "a" * 100_000},
        {"text": "\ud800"},
        {"text": "a", "completion": "b", "attribute": "text"},
        {},
    ],
)
def test_bad_payloads_are_refused(task, payload):
    with pytest.raises(ValidationError):
        task.query.payload(**payload)


@pytest.mark.parametrize("more", [{}, {"completion": "y"}, {"attribute": "text"}])
def test_a_text_longer_than_the_context_is_too_large(task, more):
    with pytest.raises(InputTooLarge, match=r"at most \d+ tokens, got \d+"):
        ask(task, text="é" * 40, **more)


def test_building_a_model_leaves_the_random_state(task):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    assert not task.model().training
    torch.testing.assert_close(torch.random.get_rng_state(), before)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InvalidTask, match="found no config"):
        causal_language_model("tiny", LocalModel(folder=tmp_path), [Document(text="a b c")])


def test_missing_weights_are_named(lm_folder, tmp_path):
    local = LocalModel(folder=lm_folder, checkpoints=(tmp_path / "seed-3.safetensors",))
    with pytest.raises(InvalidTask, match=r"seed-3\.safetensors"):
        causal_language_model("tiny", local, [Document(text="a b c")])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_is_computed_with_in_float32(lm_folder, tmp_path, documents, dtype):
    from transformers import GPT2LMHeadModel

    stored = GPT2LMHeadModel.from_pretrained(lm_folder).to(dtype)
    stored.save_pretrained(tmp_path, max_shard_size="8KB")
    shutil.copy(lm_folder / "tokenizer.json", tmp_path)
    shutil.copy(lm_folder / "tokenizer_config.json", tmp_path)
    local = LocalModel(folder=tmp_path)
    assert local.config().dtype == dtype
    assert local.weights()[0].name == tmp_path.name
    task = causal_language_model("tiny", local, documents)
    loaded = load_network(task, Member(0))
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    for name, tensor in stored.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.float()), name


def test_a_configuration_of_an_unknown_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows"}')
    with pytest.raises(InvalidTask, match=r"config\.json to be of a model that this release"):
        LocalModel(folder=tmp_path).config()


def test_a_context_above_the_models_is_refused(lm_folder):
    with pytest.raises(InvalidTask, match="at most 16 tokens"):
        causal_language_model("x", LocalModel(folder=lm_folder, context=17), [Document(text="a b")])
