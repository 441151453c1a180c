"""Fine-tuned adapters are put into a model: whole, alone trainable, and refused where they do not fit."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from byline.errors import InvalidTask, StaleIndex
from byline.members import Member
from byline.models.checkpoints import checkpoint_digests, load_checkpoint, pin_checkpoints, weights_digest
from byline.models.ensemble import EnsembleModels
from byline.models.fine_tunes import with_adapter
from byline.models.network import load_network
from byline.recipes import recipe
from byline.task import Checkpoint
from byline.tasks import Document, LocalModel, causal_language_model, sequence_classifier
from tests.byline.tasks.adapters import LORA, save_adapter

KINDS: dict[str, dict[str, Any]] = {
    "attention": {},
    "modules to save": {"modules_to_save": ["ln_f"]},
    "embedding": {"target_modules": ["c_attn", "wte"]},
    "DoRA": {"use_dora": True},
    "biases": {"bias": "lora_only"},
    "rank-stabilized": {"use_rslora": True, "lora_alpha": 3},
}
DOCUMENTS = [Document(text="def add(a, b):\n    return a + b\n"), Document(text="import os\nprint(os)\n")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loaded_model_computes_what_the_fine_tuned_one_does(
    lm_folder: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    tuned = save_adapter(lm_folder, tmp_path, **KINDS[kind])
    task = causal_language_model("tiny", LocalModel(folder=lm_folder, adapter=tmp_path), DOCUMENTS)
    loaded = load_network(task, Member(0))
    tokens_1T = torch.arange(1, 9)[None]
    torch.testing.assert_close(loaded(tokens_1T).logits, tuned(tokens_1T).logits)
    trained = {n.removeprefix("base_model.model.") for n, p in tuned.named_parameters() if p.requires_grad}
    assert {n for n, p in loaded.named_parameters() if p.requires_grad} == trained
    assert trained


def test_base_adapter_and_settings_count_in_the_identity(lm_folder: Path, tmp_path: Path) -> None:
    digests = []
    for number, change in enumerate([{}, {"lora_alpha": 3}, {"seed": 1}]):
        save_adapter(lm_folder, tmp_path / str(number), **change)
        digests.append(checkpoint_digests(Checkpoint(weights=tmp_path / str(number), base=lm_folder)))
    other = dict(load_file(lm_folder / "model.safetensors"))
    other["transformer.ln_f.bias"] = other["transformer.ln_f.bias"] + 1
    save_file(other, tmp_path / "other.safetensors")
    digests.append(
        checkpoint_digests(Checkpoint(weights=tmp_path / "0", base=tmp_path / "other.safetensors"))
    )
    assert len({weights_digest(each) for each in digests}) == 4


def test_changed_files_are_not_those_of_an_index(lm_folder: Path, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path)
    task = causal_language_model("tiny", LocalModel(folder=lm_folder, adapter=tmp_path), DOCUMENTS)
    pinned = pin_checkpoints(task, {0: checkpoint_digests(task.checkpoints[0])})
    load_network(pinned, Member(0))
    save_adapter(lm_folder, tmp_path, seed=1)
    with pytest.raises(StaleIndex, match="the adapter at"):
        load_network(pinned, Member(0))


def test_an_adapter_of_another_model_is_refused(lm_folder: Path, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path)
    task = causal_language_model("tiny", LocalModel(folder=lm_folder, adapter=tmp_path), DOCUMENTS)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    first = next(iter(tensors))
    save_file({name: t for name, t in tensors.items() if name != first}, file)
    with pytest.raises(
        InvalidTask, match="expected the 4 parameters of the adapter, got 3 tensors: 1 missing"
    ):
        load_network(task, Member(0))
    save_file({**tensors, first: torch.zeros(1, 1)}, file)
    with pytest.raises(InvalidTask, match="tensors are not the model's"):
        load_network(task, Member(0))
    save_file({**tensors, first: torch.full_like(tensors[first], torch.nan)}, file)
    with pytest.raises(InvalidTask, match="NaN or infinity in"):
        load_network(task, Member(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "NOBODY"}, "got the type 'NOBODY'"),
        ({"target_modules": ["nothing"]}, "pass the base model that it was trained on"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2}, "or the PeftModel in memory"),
    ],
)
def test_an_adapter_that_cannot_be_put_into_the_model_is_refused_in_one_line(
    lm_folder: Path,
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    from transformers import GPT2LMHeadModel

    save_adapter(lm_folder, tmp_path)
    settings = json.loads((tmp_path / "adapter_config.json").read_text()) | change
    with pytest.raises(InvalidTask, match=message) as error:
        with_adapter(GPT2LMHeadModel.from_pretrained(lm_folder), settings)
    assert "\n" not in str(error.value)


def test_a_whole_state_dict_of_peft_is_understood(lm_folder: Path, tmp_path: Path) -> None:
    """`torch.save(peft_model.state_dict())`, with its prefix and the adapter's name, and without the name."""
    tuned = save_adapter(lm_folder, tmp_path)
    task = causal_language_model("tiny", LocalModel(folder=lm_folder, adapter=tmp_path), DOCUMENTS)
    plain = {name.replace(".default", ""): tensor for name, tensor in tuned.state_dict().items()}
    for weights in (tuned.state_dict(), plain):
        model = task.model()
        load_checkpoint(model, Checkpoint(weights=weights))
        tokens_1T = torch.arange(1, 9)[None]
        torch.testing.assert_close(model(tokens_1T).logits, tuned(tokens_1T).logits)


def test_an_adapter_given_as_the_weights_of_a_whole_model_is_refused_with_the_way(
    lm_folder: Path,
    tmp_path: Path,
) -> None:
    from transformers import GPT2LMHeadModel

    tuned = save_adapter(lm_folder, tmp_path)
    model = GPT2LMHeadModel.from_pretrained(lm_folder)
    adapter = load_file(tmp_path / "adapter_model.safetensors")
    for weights in (tmp_path, tmp_path / "adapter_model.safetensors", adapter, tuned.state_dict()):
        with pytest.raises(InvalidTask, match=r"LocalModel\(folder=BASE, adapter=FOLDER\)"):
            load_checkpoint(model, Checkpoint(weights=weights))


def test_tensors_above_a_base_are_refused(lm_folder: Path) -> None:
    with pytest.raises(InvalidTask, match="to be an adapter's folder where"):
        Checkpoint(weights={"w": torch.zeros(1)}, base=lm_folder)


def test_a_classifier_whose_head_is_the_adapters_own(lm_folder: Path, tmp_path: Path) -> None:
    """The base is a language model: it has no such head, and a head of its own."""
    import peft
    from transformers import GPT2ForSequenceClassification

    config = GPT2ForSequenceClassification.from_pretrained(lm_folder, num_labels=2, pad_token_id=0)
    settings = peft.LoraConfig(**LORA, task_type="SEQ_CLS", modules_to_save=["score"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = peft.get_peft_model(config, settings).eval()
    tuned.save_pretrained(tmp_path)
    local = LocalModel(folder=lm_folder, adapter=tmp_path)
    documents = [Document(text="a b", label="LABEL_0"), Document(text="c d e", label="LABEL_1")]
    loaded = load_network(sequence_classifier("mood", local, documents), Member(0))
    tokens_1T = torch.arange(1, 9)[None]
    torch.testing.assert_close(loaded(tokens_1T).logits, tuned(tokens_1T).logits)


def test_checkpoints_of_one_base_keep_it_once(lm_folder: Path, tmp_path: Path) -> None:
    for step in (1, 2):
        save_adapter(lm_folder, tmp_path / f"checkpoint-{step}", seed=step)
    task = causal_language_model("run", LocalModel(folder=lm_folder, adapter=tmp_path), DOCUMENTS)
    models = EnsembleModels(task, recipe("grad_dot"))
    first, second = (dict(models.load(Member(place)).model.named_parameters()) for place in (0, 1))
    for name, parameter in first.items():
        assert (parameter.data_ptr() == second[name].data_ptr()) is ("lora_" not in name), name
