import pytest

pytest.importorskip("sklearn")

from examples.digits import task as digits_task
from examples.digits.train import accuracy, main


def test_training_writes_what_the_task_reads(tmp_path):
    main(tmp_path, checkpoints=2, epochs=3)
    task = digits_task.task(tmp_path)
    assert len(task.checkpoints) == 2
    assert len(task.train_set) == 1_000
    example = task.describe(7)
    assert example.id == "digit-7"
    assert example.label == str(int(task.train_set[7][1]))
    assert len(example.preview.splitlines()) == 8
    parsed = task.query.parse(task.query.payload(features=task.train_set[0][0].tolist()))
    assert task.query.predict(task.model(), parsed.item).output["label"] in set("0123456789")


def test_a_few_epochs_learn_something():
    from examples.digits.train import train

    assert accuracy(train(range(1_000), seed=0, epochs=5)) > 0.7
