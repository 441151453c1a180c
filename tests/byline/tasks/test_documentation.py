"""The code of docs/tasks.md runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from byline.index.recordings import open_recording
from byline.task import Task

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tasks.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(block: int) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "mytask"}
    exec(compile(BLOCKS[block], f"{PAGE.name}[{block}]", "exec"), names)  # noqa: S102
    return names


def test_the_page_has_these_examples():
    assert len(BLOCKS) == 7


def test_a_task_from_scratch():
    task = run(0)["task"]()
    assert isinstance(task, Task)
    model = task.model()
    batch = task.collate([task.train_set[i] for i in range(5)])
    assert task.loss(model, batch).shape == task.objective("logit")(model, batch).shape == (5,)
    parsed = task.query.parse(task.query.payload(features=[1, 2, 3, 4]))
    assert task.query.predict(model, parsed.item).output["label"] in range(3)
    assert len({task.describe(i).id for i in range(60)}) == 60


def test_a_task_that_can_be_evaluated():
    task = run(1)["task"]()
    assert set(task.train([0, 5, 7], 3)) == set(task.checkpoints[0].weights)
    wrong = task.mislabeled([4, 9], 0)
    differ = [i for i in range(60) if int(wrong.train_set[i][1]) != int(task.train_set[i][1])]
    assert differ == [4, 9]
    item = task.evaluation_set[0]
    assert task.loss(task.model(), task.collate([item])).shape == (1,)


def test_images():
    task = run(2)["images"]
    item = task.query.parse(task.query.payload(image=[0.5] * 64, label="3")).item
    assert task.loss(task.model(), task.collate([item])).shape == (1,)


def test_a_language_model(lm_folder):
    task = run(4)["task"](lm_folder)
    batch = task.collate([task.train_set[i] for i in range(len(task.train_set))])
    assert torch.isfinite(task.loss(task.model(), batch)).all()
    assert task.describe(0).id == "add.py#0"


def test_what_a_training_script_holds(lm_folder, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(lm_folder)
    rows = [{"text": "def add(a, b):", "owner": "Ann"}, {"text": "import os", "owner": "Bob"}]
    index = run(3)["index"](model, AutoTokenizer.from_pretrained(lm_folder), rows, tmp_path)
    assert index.attribute({"text": "import", "completion": " os"}).proponents[0].example.owner in {
        "Ann",
        "Bob",
    }


def test_recording_a_run(tmp_path):
    task = run(0)["task"]()
    run(5)["train"](task, tmp_path)
    found = open_recording(tmp_path / "steps")
    assert (found.head.rows, found.spans[0].steps, found.spans[0].visits) == (60, 3, 60)
    assert (tmp_path / "weights.safetensors").is_file()


def test_recording_a_trainers_run():
    from transformers import TrainerCallback

    (callback,) = run(6)["callbacks"](run(0)["task"]())
    assert isinstance(callback, TrainerCallback)


@pytest.mark.parametrize("name", re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), re.M))
def test_the_factories_of_the_table_exist(name):
    import byline.tasks

    assert callable(getattr(byline.tasks, name))
