"""Models in folders of `save_pretrained`."""

import json
import shutil

import pytest
import torch

from byline.errors import InvalidTask
from byline.members import Member
from byline.models.network import load_network
from byline.tasks import Document, LocalModel, causal_language_model


def test_building_a_model_leaves_the_random_state(task):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    assert not task.model().training
    torch.testing.assert_close(torch.random.get_rng_state(), before)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InvalidTask, match="found no config"):
        causal_language_model("tiny", LocalModel(folder=tmp_path), [Document(text="a b c")])


def test_the_way_out_of_other_folders_is_named(lm_folder, tmp_path):
    (tmp_path / "model.Q4_K_M.gguf").write_bytes(b"GGUF")
    cases = {
        tmp_path: "GGUF files, which cannot be trained",
        tmp_path / "model.Q4_K_M.gguf": "GGUF files",
        lm_folder / "config.json": "pass the folder that holds it",
    }
    for folder, message in cases.items():
        with pytest.raises(InvalidTask, match=message):
            LocalModel(folder=folder).config()


def test_a_quantized_folder_is_refused_with_the_way_out(lm_folder, tmp_path):
    config = json.loads((lm_folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidTask, match=r"not quantized in .*: load the model and pass it in memory"):
        LocalModel(folder=tmp_path).config()


def test_code_beside_a_model_is_neither_run_nor_asked_about(tmp_path, capfd):
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}')
    (tmp_path / "own.py").write_text("raise SystemExit")
    with pytest.raises(InvalidTask, match="with code of its own in memory"):
        LocalModel(folder=tmp_path).config()
    assert capfd.readouterr() == ("", "")


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
