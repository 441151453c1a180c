"""Weights are found in files, shards, folders and what training loops save; nothing else is read or unpickled."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from byline.errors import InvalidTask
from byline.models.checkpoints import checkpoint_digests, load_weights
from byline.models.weight_files import read_weights
from byline.task import Checkpoint


def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return nn.Linear(3, 2).state_dict()


def assert_read(path: Path) -> None:
    found = load_weights(Checkpoint(weights=path))
    assert found.keys() == weights().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights().items())
    assert checkpoint_digests(Checkpoint(weights=path)) == checkpoint_digests(Checkpoint(weights=weights()))


def in_shards(folder: Path, suffix: str = "safetensors") -> Path:
    places = {}
    for number, (name, tensor) in enumerate(weights().items()):
        places[name] = f"model-{number}.{suffix}"
        if suffix == "safetensors":
            save_file({name: tensor}, folder / places[name])
        else:
            torch.save({name: tensor}, folder / places[name])
    index = folder / (
        "model.safetensors.index.json" if suffix == "safetensors" else "pytorch_model.bin.index.json"
    )
    index.write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": places}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_by_their_index_and_by_their_folder(tmp_path: Path, suffix: str) -> None:
    assert_read(in_shards(tmp_path, suffix))
    assert_read(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_with_one_file(tmp_path: Path, name: str) -> None:
    save_file(weights(), tmp_path / name) if name.endswith("s") else torch.save(weights(), tmp_path / name)
    assert_read(tmp_path)


@pytest.mark.parametrize(
    "saved",
    [
        {"state_dict": weights(), "epoch": 3, "optimizer_states": [{"step": 1}]},
        {"model_state_dict": weights(), "optimizer_state_dict": {"state": {}}, "loss": 0.5},
        {"model": weights(), "optimizer": {}, "best_val_loss": torch.tensor(1.0)},
        {"model": {"state_dict": weights(), "step": 1}},
    ],
)
def test_what_training_loops_save(tmp_path: Path, saved: dict[str, Any]) -> None:
    torch.save(saved, tmp_path / "last.ckpt")
    assert_read(tmp_path / "last.ckpt")


@pytest.mark.parametrize("saved", [{"epoch": 3}, [1, 2], {}, {"state_dict": {"a": 1}}])
def test_what_holds_no_weights(tmp_path: Path, saved: Any) -> None:
    torch.save(saved, tmp_path / "x.pt")
    with pytest.raises(InvalidTask, match=r"state dict.*state_dict, model_state_dict, model"):
        read_weights(tmp_path / "x.pt")


def test_arguments_of_a_command_are_not_unpickled(tmp_path: Path) -> None:
    torch.save({"state_dict": weights(), "args": argparse.Namespace(lr=1)}, tmp_path / "x.pt")
    with pytest.raises(InvalidTask, match="not unpickled"):
        read_weights(tmp_path / "x.pt")


def test_shards_that_are_not_all_there(tmp_path: Path) -> None:
    index = in_shards(tmp_path)
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(InvalidTask, match=r"shard model-1\.safetensors"):
        read_weights(index)
    save_file({"other": torch.zeros(1)}, tmp_path / "model-1.safetensors")
    with pytest.raises(InvalidTask, match=r"lists 2 tensors.*'bias'"):
        read_weights(index)


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        '{"weight_map": 3}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../x"}}',
    ],
)
def test_an_index_that_is_none_or_leads_out_of_its_folder(tmp_path: Path, document: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(document)
    with pytest.raises(InvalidTask, match=r"index of shards|files beside it"):
        read_weights(index)


def test_an_empty_folder_names_what_it_may_hold(tmp_path: Path) -> None:
    with pytest.raises(InvalidTask, match=r"model\.safetensors\.index\.json"):
        read_weights(tmp_path)
