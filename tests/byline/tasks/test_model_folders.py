"""The parts of a model are found in the folders that peft and the Trainer leave."""

import json
from pathlib import Path

import pytest

from byline.errors import InvalidTask
from byline.tasks import LocalModel
from byline.tasks.model_folders import find_folders, run_checkpoints
from tests.byline.tasks.adapters import save_adapter


def rewrite(folder: Path, **changes: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_adapter_alone_names_its_local_base(lm_folder: Path, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path)
    for local in (LocalModel(folder=tmp_path), LocalModel(adapter=tmp_path)):
        folders = local.folders
        assert (folders.config, folders.tokenizer, folders.checkpoints) == (lm_folder, lm_folder, (tmp_path,))
        (checkpoint,) = local.weights()
        assert (checkpoint.weights, checkpoint.base) == (tmp_path, lm_folder / "model.safetensors")


def test_a_base_of_the_hub_is_refused_with_the_way(lm_folder: Path, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path)
    rewrite(tmp_path, base_model_name_or_path="somebody/model")
    with pytest.raises(InvalidTask, match=r"pass LocalModel\(folder=BASE, adapter='") as error:
        _ = LocalModel(folder=tmp_path).folders
    assert "\n" not in str(error.value)
    assert LocalModel(folder=lm_folder, adapter=tmp_path).folders.config == lm_folder


def test_checkpoints_of_an_adapter_in_the_order_of_their_steps(lm_folder: Path, tmp_path: Path) -> None:
    for step in (9, 10, 100):
        save_adapter(lm_folder, tmp_path / f"checkpoint-{step}", seed=step)
    (tmp_path / "checkpoint-50").mkdir()  # one that was interrupted
    (tmp_path / "checkpoint-x").mkdir()
    local = LocalModel(folder=lm_folder, adapter=tmp_path)
    assert [c.name for c in local.weights()] == ["checkpoint-9", "checkpoint-10", "checkpoint-100"]
    assert [path.name for path in run_checkpoints(tmp_path)][2] == "checkpoint-50"
    save_adapter(lm_folder, tmp_path)  # what the run ended with counts alone
    assert [c.weights for c in local.weights()] == [tmp_path]


def test_a_run_whose_last_checkpoint_lost_its_weights_is_refused(lm_folder: Path, tmp_path: Path) -> None:
    for step in (9, 10):
        save_adapter(lm_folder, tmp_path / f"checkpoint-{step}", seed=step)
    (tmp_path / "checkpoint-50").mkdir()
    local = LocalModel(folder=lm_folder, adapter=tmp_path)
    with pytest.raises(
        InvalidTask, match="checkpoint-50, found none, and checkpoint-10 is an earlier one"
    ) as error:
        local.weights()
    assert "\n" not in str(error.value)
    named = local.model_copy(update={"checkpoints": (tmp_path / "checkpoint-10",)})
    assert [c.name for c in named.weights()] == ["checkpoint-10"]
    (tmp_path / "checkpoint-50").rmdir()
    assert [c.name for c in local.weights()] == ["checkpoint-9", "checkpoint-10"]


def test_adapters_with_other_settings_are_no_run(lm_folder: Path, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path / "checkpoint-1")
    save_adapter(lm_folder, tmp_path / "checkpoint-2", r=3)
    with pytest.raises(InvalidTask, match="expected checkpoints of one adapter"):
        _ = LocalModel(folder=lm_folder, adapter=tmp_path).folders


def test_neither_folder_nor_adapter_is_refused() -> None:
    with pytest.raises(InvalidTask, match="got neither"):
        find_folders(None, None)


def test_a_folder_without_an_adapter_is_refused(lm_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidTask, match=r"adapter_config\.json in"):
        _ = LocalModel(folder=lm_folder, adapter=tmp_path).folders
