"""Models in memory: the weights they hold, in float32, without a change of the user's own."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch import nn

import byline
from byline.errors import InvalidTask
from byline.loading.memory import task_in_memory
from byline.members import Member
from byline.models.network import load_network
from byline.recipes import recipe
from byline.tasks import LoadedModel, causal_language_model
from byline.tasks.loaded_models import language_model
from tests.byline.tasks.adapters import tuned_model
from tests.byline.tasks.chat_templates import SHORT, chat_tokenizer
from tests.byline.tasks.conftest import TEXTS

ROWS = [{"text": text, "owner": f"owner {n}"} for n, text in enumerate(TEXTS)]
TOKENS_1T = torch.arange(1, 9)[None]


@pytest.fixture
def own(lm_folder: Path) -> Any:
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(lm_folder)


def test_a_model_is_indexed_and_asked_in_five_lines(
    own: nn.Module, tokenizer_folder: Path, tmp_path: Path
) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder)
    task = causal_language_model("mine", own, datasets.Dataset.from_list(ROWS), tokenizer=tokenizer)
    index = byline.build(task, recipe("grad_dot", projection={"kind": "identity"}), tmp_path, progress=False)
    answer = index.attribute({"text": "import", "completion": " os"})
    assert answer.proponents[0].example.owner in {row["owner"] for row in ROWS}
    model = load_network(task, Member(0)).double()
    gradients = []
    for row in range(3):
        loss = task.loss(model, task.collate([task.train_set[row]])).sum()
        parameters = list(model.parameters())
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    scores_QN = index.item_scores([task.train_set[row] for row in range(3)])[:, :3]
    expected_QN = (torch.stack(gradients) @ torch.stack(gradients).T).numpy()
    np.testing.assert_allclose(
        scores_QN, expected_QN, rtol=2e-3, atol=2e-3 * float(np.abs(expected_QN).max())
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_are_the_models_and_stay(own: Any, tokenizer_folder: Path, dtype: torch.dtype) -> None:
    own = own.to(dtype)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    task = causal_language_model("mine", own, TEXTS, tokenizer=chat_tokenizer(tokenizer_folder))
    loaded = load_network(task, Member(0))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert loaded.lm_head.weight is loaded.transformer.wte.weight, "tied as the model's own"
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, before[name].float()), name
    with torch.no_grad():
        own.lm_head.weight.zero_()  # training goes on
    assert torch.equal(load_network(task, Member(0)).lm_head.weight, before["lm_head.weight"].float())
    assert task_in_memory(task).digest == task_in_memory(task).digest


@pytest.mark.parametrize("trainable", [True, False])
def test_an_adapter_in_memory_is_attributed_alone(
    lm_folder: Path, tokenizer_folder: Path, trainable: bool
) -> None:
    tuned = tuned_model(lm_folder, modules_to_save=["ln_f"])
    if not trainable:  # as PeftModel.from_pretrained loads it
        tuned.requires_grad_(False)
    task = causal_language_model("tuned", tuned, TEXTS, tokenizer=chat_tokenizer(tokenizer_folder))
    loaded = load_network(task, Member(0))
    torch.testing.assert_close(loaded(TOKENS_1T).logits, tuned(TOKENS_1T).logits)
    trained = {name for name, p in loaded.named_parameters() if p.requires_grad}
    assert len(trained) == 6
    assert all("lora_" in name or "modules_to_save" in name for name in trained)
    assert any(p.requires_grad for p in tuned.parameters()) is trainable


def test_prompt_tuning_in_memory(lm_folder: Path, tokenizer_folder: Path) -> None:
    import warnings

    import peft
    from transformers import GPT2LMHeadModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(
            GPT2LMHeadModel.from_pretrained(lm_folder),
            peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
        ).eval()
    chosen = LoadedModel(model=model, tokenizer=chat_tokenizer(tokenizer_folder), context=12)
    loaded = load_network(causal_language_model("tuned", chosen, TEXTS), Member(0))
    assert [name for name, p in loaded.named_parameters() if p.requires_grad] == [
        "prompt_encoder.default.embedding.weight"
    ]


def test_wrappers_of_training_are_taken_off(own: nn.Module, tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder)
    for wrapped in (
        torch.compile(own, backend="eager"),
        nn.DataParallel(own),
        nn.DataParallel(torch.compile(own, backend="eager")),
    ):
        assert LoadedModel(model=wrapped, tokenizer=tokenizer).model is own
        task = causal_language_model("x", wrapped, TEXTS, tokenizer=tokenizer)
        assert type(task.model()) is type(own)


def test_weights_that_are_not_in_memory_are_refused(own: nn.Module, tokenizer_folder: Path) -> None:
    own.transformer.wte.to("meta")  # as device_map leaves what it moves to the disk
    with pytest.raises(InvalidTask, match=r"'transformer\.wte\.weight' on the device meta: load it without"):
        causal_language_model("x", own, TEXTS, tokenizer=chat_tokenizer(tokenizer_folder))


def test_what_is_no_language_model_is_refused(own: nn.Module, tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder)
    with pytest.raises(InvalidTask, match="expected tokenizer"):
        language_model(own)
    with pytest.raises(InvalidTask, match="leave it out"):
        language_model(tokenizer_folder, tokenizer)
    with pytest.raises(InvalidTask, match="got an int"):
        language_model(3)  # type: ignore[arg-type]  # what a user might pass
    with pytest.raises(InvalidTask, match="from_model"):
        causal_language_model("x", nn.Linear(2, 2), TEXTS, tokenizer=tokenizer)


def test_targets_and_contrasts_of_a_chat_lie_in_its_last_turn(own: nn.Module, tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, SHORT)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "bxy"}]
    interface = causal_language_model("chat", own, [{"messages": turns}], tokenizer=tokenizer).query

    def item(**query: Any) -> Any:
        return interface.parse(interface.payload(**query)).item

    def targets(made: Any) -> str:
        return str(tokenizer.decode(made["input_ids"][made["labels"] != -100]))

    assert targets(item(messages=turns)) == "bxy<|end|>"
    assert targets(item(messages=turns, target_text="x")) == "x"
    assert targets(item(messages=turns, target_tokens=[1, 4])) == "xy<|end|>"
    made = item(messages=turns, rather_than="cd")
    assert (targets(made), targets(made["rather_than"])) == ("bxy<|end|>", "cd<|end|>")
    assert tokenizer.decode(made["rather_than"]["input_ids"]).startswith("ua")
    for wrong in ({"messages": turns[:1]}, {"messages": turns, "attribute": "text"}):
        with pytest.raises(ValueError, match="expected a completion beside rather_than"):
            item(**wrong, rather_than="c")
    with pytest.raises(byline.BylineError, match="target_text to be a part"):
        item(messages=turns, target_text="secret")


def test_a_chat_is_asked_by_its_messages(own: nn.Module, tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, SHORT)
    rows = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    task = causal_language_model("chat", own, rows, tokenizer=tokenizer)
    assert task.query is not None

    def ask(**payload: Any) -> Any:
        assert task.query is not None
        return task.query.parse(task.query.payload(**payload))

    parsed = ask(**rows[0])
    assert parsed.complete
    assert torch.equal(parsed.item["labels"], task.train_set[0]["labels"]), "a training chat asks for itself"
    assert not ask(messages=rows[0]["messages"][:1]).complete
    assert ask(text="a", completion="b").complete
    two = rows[0]["messages"] * 3
    with pytest.raises(byline.BylineError, match="at most 16 tokens"):
        ask(messages=two)
    for wrong in (
        {},
        {"text": "a", **rows[0]},
        {"completion": "c", **rows[0]},
        {"messages": [{"role": "x"}]},
    ):
        with pytest.raises((ValueError, byline.BylineError)):
            ask(**wrong)


def test_a_row_of_a_prompt_and_a_completion_of_messages_asks_for_itself(
    own: nn.Module, tokenizer_folder: Path
) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, SHORT)
    a, b, c = (
        {"role": role, "content": content}
        for role, content in (("user", "a"), ("assistant", "b"), ("assistant", "c"))
    )
    rows = [
        {"prompt": [a], "completion": [b]},
        {"prompt": [a, b, a], "completion": [c]},
        {"prompt": [a], "completion": [b, a, c]},
    ]
    task = causal_language_model("chat", own, rows, tokenizer=tokenizer)
    assert task.query is not None
    payload = task.query.payload
    for place, (row, written) in enumerate(
        zip(rows, ("b<|end|>", "c<|end|>", "b<|end|>c<|end|>"), strict=True)
    ):
        trained, parsed = task.train_set[place], task.query.parse(payload(**row))
        assert parsed.complete
        assert torch.equal(parsed.item["input_ids"], trained["input_ids"])
        assert torch.equal(parsed.item["labels"], trained["labels"])
        assert tokenizer.decode(trained["input_ids"][trained["labels"] != -100]) == written
        assert task.query.train is not None
        (candidate,) = task.query.train(payload(**row))
        assert torch.equal(candidate["labels"], trained["labels"])
    assert not task.query.parse(payload(prompt=[a])).complete
    contrast = task.query.parse(payload(prompt=[a], completion=[b], rather_than="c")).item
    assert tokenizer.decode(contrast["rather_than"]["input_ids"]) == "ua<|end|>ac<|end|>"
    for wrong in (
        {"messages": [a, b], "given": 2},
        {"messages": [a, b], "given": 0, "rather_than": "c"},
        {"text": "a", "completion": "b", "tools": [{}]},
        {"messages": [{"role": "user"}, b]},
        {"prompt": [a], "completion": "b"},
        {"messages": [a, b], "tools": [{"x": "y" * 9999}]},
    ):
        with pytest.raises((ValueError, byline.BylineError)):
            payload(**wrong)


def test_a_query_beyond_the_embedding_and_a_pad_token_beyond_it(
    own: nn.Module, tokenizer_folder: Path
) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, SHORT)
    tokenizer.add_tokens(["<|1|>", "<|2|>", "<|3|>"])
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})  # the embedding is not resized for it
    tokenizer.add_tokens(["xyzzy"])
    task = causal_language_model("t", own, ["a b c", "d e f g h"], tokenizer=tokenizer)
    assert tokenizer.pad_token_id >= 300
    batch = task.collate([task.train_set[0], task.train_set[1]])
    assert int(batch["input_ids"].max()) < 300
    assert task.query is not None
    payload, parse = task.query.payload, task.query.parse
    turns = [{"role": "user", "content": "xyzzy"}, {"role": "assistant", "content": "b"}]
    for query in (
        {"text": "xyzzy"},
        {"text": "a", "completion": "xyzzy"},
        {"text": "a", "completion": "b", "rather_than": "xyzzy"},
        {"messages": turns},
    ):
        with pytest.raises(
            byline.BylineError, match=r"ids below 300, .*, got \d+: pass the tokenizer"
        ) as error:
            parse(payload(**query))
        assert "xyzzy" not in str(error.value)
    with pytest.raises(byline.BylineError, match="position 1"):
        causal_language_model("t", own, ["a b", "xyzzy a"], tokenizer=tokenizer)
