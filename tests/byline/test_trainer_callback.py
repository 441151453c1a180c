"""Runs of a real Trainer: what the callback leaves is what the run did, and the run is the one without it."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import byline
from byline.errors import InvalidInput, InvalidTask
from byline.index.recordings import open_recording
from byline.recipes import Recipe, recipe
from byline.recording import TrainingRecorder
from byline.task import Checkpoint, Task
from byline.tasks import Document, LocalModel, causal_language_model
from byline.tasks.trainer_folders import MOMENTS
from byline.trainer_callback import RecordedRun, run_callback

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)

CONTEXT = 16
WORDS = ["alpha", "beta", "gamma", "delta", "one", "two", "three", "four"]
TEXTS = [" ".join(WORDS[(row + step * (row % 3 + 1)) % 8] for step in range(16)) for row in range(11)]
ADAM = recipe("dvemb", scale={"kind": "second_moment", "power": 0.25})
SGD = recipe("dvemb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["<|end|>", *WORDS])}, "<|end|>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    place = tmp_path_factory.mktemp("gpt")
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|end|>").save_pretrained(place)  # noqa: S106
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=9,
        n_positions=CONTEXT,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
    )
    GPT2LMHeadModel(config).save_pretrained(place)
    return place


def task_of(folder: Path, checkpoints: Iterable[Path] = ()) -> Task:
    documents = [Document(text=text, id=f"doc-{row}") for row, text in enumerate(TEXTS)]
    return causal_language_model("run", LocalModel(folder=folder, checkpoints=tuple(checkpoints)), documents)


@pytest.fixture
def task(folder: Path) -> Task:
    return task_of(folder)


Train = Callable[..., tuple[nn.Module, list[list[int]]]]


@pytest.fixture
def train(task: Task, folder: Path, tmp_path: Path) -> Train:
    """Trains, and returns the model with the rows of every batch in the order in which they were made."""
    from transformers import GPT2LMHeadModel, Trainer, TrainingArguments

    items = [item["input_ids"].tolist() for item in task.train_set]
    assert len(items) == len({tuple(each) for each in items}) == len(TEXTS)

    def run(
        callbacks: list[Any], resume: bool = False, order: Sequence[int] = range(len(TEXTS)), **options: Any
    ) -> tuple[nn.Module, list[list[int]]]:
        batches: list[list[int]] = []

        def collate(rows: list[Any]) -> Any:
            batches.append([items.index(item["input_ids"].tolist()) for item in rows])
            return task.collate(rows)

        defaults: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 3,
            "num_train_epochs": 2,
            "learning_rate": 0.05,
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
            "save_strategy": "no",
            "optim": "adamw_torch",
            "seed": 3,
            "dataloader_pin_memory": False,
            "logging_steps": 100,
        }
        model = GPT2LMHeadModel.from_pretrained(folder)
        trainer = Trainer(
            model=model,
            args=TrainingArguments(**(defaults | options)),
            train_dataset=[task.train_set[row] for row in order],  # type: ignore[arg-type]
            data_collator=collate,
            callbacks=callbacks,
        )
        trainer.train(resume_from_checkpoint=resume)
        return model, batches

    return run


def steps_of(place: Path) -> list[list[int]]:
    """Rows of every recorded step."""
    recording = open_recording(place)
    spans = [recording.read(number) for number in range(len(recording.spans))]
    return [part.tolist() for span in spans for part in torch.split(span.rows_N, span.sizes_S.tolist())]


def rates_of(place: Path) -> list[float]:
    recording = open_recording(place)
    return [rate for n in range(len(recording.spans)) for rate in recording.read(n).rates_S.tolist()]


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_chosen_checkpoints_have_their_steps_rates_and_moments(
    train: Train, folder: Path, tmp_path: Path
) -> None:
    seen: dict[int, dict[str, torch.Tensor]] = {}

    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
            inner = parts["optimizer"].optimizer
            seen[state.global_step] = {
                f"{moment}/{name}": inner.state[p][moment].clone()
                for name, p in parts["model"].named_parameters()
                for moment in ("exp_avg", "exp_avg_sq")
            }

    train([run_callback(checkpoints=(1, 0.5, 1.0)), Watching()])
    folders = [tmp_path / "out" / f"checkpoint-{step}" for step in (1, 4, 8)]
    assert sorted((tmp_path / "out").glob("checkpoint-*")) == folders
    task = task_of(folder, folders)
    assert [c.steps for c in task.checkpoints] == [1, 4, 8]
    # The Trainer's rate falls linearly to zero after 8 steps; a step's rate is the one before the step.
    assert [c.learning_rate for c in task.checkpoints] == pytest.approx([0.05, 0.05 * 5 / 8, 0.05 / 8])
    for checkpoint, step in zip(task.checkpoints, (1, 4, 8), strict=True):
        assert checkpoint.optimizer_state == tmp_path / "out" / f"checkpoint-{step}" / MOMENTS
        found = load_file(checkpoint.optimizer_state)
        assert found.keys() == seen[step].keys()
        assert all(torch.equal(found[name], seen[step][name]) for name in found)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 3},
        {"dataloader_drop_last": True, "optim": "sgd"},
        {"dataloader_num_workers": 2},
        {"train_sampling_strategy": "group_by_length"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_recorded_rows_are_those_of_the_run(
    options: dict[str, Any], train: Train, task: Task, tmp_path: Path
) -> None:
    chosen: Recipe = SGD if options.get("optim") == "sgd" else ADAM
    place = tmp_path / "steps"
    model, batches = train(
        [run_callback(recording=RecordedRun(task=task, recipe=chosen, folder=place))], **options
    )
    if "dataloader_num_workers" not in options:  # there the batches are made in other processes
        parts, epoch = options.get("gradient_accumulation_steps", 1), len(batches) // 2
        expected = [
            [row for batch in batches[start : min(start + parts, first + epoch)] for row in batch]
            for first in (0, epoch)
            for start in range(first, first + epoch, parts)
        ]
        assert steps_of(place) == expected
    assert sorted(row for step in steps_of(place) for row in step)[:2] == [0, 0]
    assert equal(model, train([], **options)[0]), "the run is the one without the callback"
    assert list((tmp_path / "out").glob("checkpoint-*")), "the last step is saved"


def test_recorded_steps_are_those_of_a_loop_of_ones_own(
    train: Train, task: Task, folder: Path, tmp_path: Path
) -> None:
    """Gradients, rates with momentum and clipping: the same as a recorder in a loop that is written out."""
    from transformers import GPT2LMHeadModel

    options = {
        "optim": "sgd",
        "optim_args": "momentum=0.5",
        "max_grad_norm": 0.5,
        "lr_scheduler_type": "constant",
    }
    place = tmp_path / "steps"
    model, batches = train(
        [run_callback(recording=RecordedRun(task=task, recipe=SGD, folder=place))], **options
    )
    mine = GPT2LMHeadModel.from_pretrained(folder)
    optimizer = torch.optim.SGD(mine.parameters(), lr=0.05, momentum=0.5)
    with TrainingRecorder(task, SGD, mine, tmp_path / "own") as recorder:
        for rows in batches:
            optimizer.zero_grad()
            task.loss(mine, task.collate([task.train_set[row] for row in rows])).mean().backward()
            norm = float(nn.utils.clip_grad_norm_(mine.parameters(), 0.5))
            assert norm > 0.5, "a run that is clipped"
            recorder.step(rows, 0.05 / (1 - 0.5) * 0.5 / norm)
            optimizer.step()
    for name, tensor in mine.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    assert steps_of(place) == steps_of(tmp_path / "own") == batches
    assert rates_of(place) == pytest.approx(rates_of(tmp_path / "own"), rel=1e-3)
    for phi_NK, own_NK in ((open_recording(p).read(0).phi_NK for p in (place, tmp_path / "own")),):
        torch.testing.assert_close(phi_NK, own_NK, rtol=1e-2, atol=1e-4)


def test_the_trainers_own_divisor_is_in_the_rates(train: Train, task: Task, tmp_path: Path) -> None:
    """It divides by the 16 tokens of a row, of which 15 are predicted: its gradient is 15/16 of the mean's."""
    run = RecordedRun(task=task, recipe=SGD, folder=tmp_path / "steps")
    train([run_callback(recording=run)], optim="sgd", max_grad_norm=0, lr_scheduler_type="constant")
    assert rates_of(tmp_path / "steps") == pytest.approx([0.05 * 15 / 16] * 8, rel=1e-3)


@pytest.mark.parametrize("adam", [True, False], ids=["adamw", "sgd"])
def test_an_index_of_the_recording_answers_with_the_text_itself(
    adam: bool, train: Train, task: Task, folder: Path, tmp_path: Path
) -> None:
    chosen = ADAM if adam else SGD
    optim = (
        {"optim": "adamw_torch", "learning_rate": 0.003} if adam else {"optim": "sgd", "learning_rate": 0.3}
    )
    place = tmp_path / "steps"
    train(
        [run_callback(recording=RecordedRun(task=task, recipe=chosen, folder=place))],
        num_train_epochs=6,
        **optim,
    )
    (last,) = (tmp_path / "out").glob("checkpoint-*")
    (declared,) = task_of(folder, [last]).checkpoints
    checkpoint = Checkpoint(
        weights=declared.weights, optimizer_state=declared.optimizer_state if adam else None, recording=place
    )
    index = byline.build(replace(task, checkpoints=[checkpoint]), chosen, tmp_path / "index")
    first = []
    for row, text in enumerate(TEXTS):
        answer = index.attribute({"text": text, "attribute": "text"}, k=len(TEXTS))
        own = next(each for each in answer.proponents if each.row == row)
        assert own.score > 0, "training on a text lowered its loss"
        first.append(answer.proponents[0].row == row)
    assert sum(first) >= 8


def test_a_checkpoint_is_resumed_with_moments_and_a_recording_is_not(
    train: Train, task: Task, tmp_path: Path
) -> None:
    whole, _ = train([run_callback(checkpoints=(4, 8))])
    moments = load_file(tmp_path / "out" / "checkpoint-8" / MOMENTS)
    for stale in (tmp_path / "out" / "checkpoint-8").iterdir():
        stale.unlink()
    (tmp_path / "out" / "checkpoint-8").rmdir()
    resumed, _ = train([run_callback(checkpoints=(4, 8))], resume=True)
    again = load_file(tmp_path / "out" / "checkpoint-8" / MOMENTS)
    assert all(torch.allclose(moments[name], again[name], rtol=1e-4, atol=1e-7) for name in moments)
    torch.testing.assert_close(whole.state_dict(), resumed.state_dict(), rtol=1e-4, atol=1e-6)
    with pytest.raises(InvalidInput, match="got one that is resumed"):
        train(
            [run_callback(recording=RecordedRun(task=task, recipe=ADAM, folder=tmp_path / "steps"))],
            resume=True,
        )


def test_rows_of_another_order(train: Train, task: Task, tmp_path: Path) -> None:
    order = [*range(len(TEXTS))][::-1]
    run = RecordedRun(task=task, recipe=ADAM, folder=tmp_path / "steps", rows=order)
    _, batches = train([run_callback(recording=run)], order=order)
    assert steps_of(tmp_path / "steps") == batches
    wrong = RecordedRun(task=task, recipe=ADAM, folder=tmp_path / "wrong")
    with pytest.raises(
        InvalidInput, match=r"expected gradients of the mean of Task\.loss over the step's rows"
    ):
        train([run_callback(recording=wrong)], order=order)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"optim": "sgd"}, {"recipe": SGD, "rows": [0]}, "to have 1 rows"),
        ({}, {"recipe": SGD}, "expected optim='sgd'"),
        ({"optim": "adafactor"}, {}, "expected torch's AdamW"),
        ({"auto_find_batch_size": True}, {}, "auto_find_batch_size"),
        ({}, {"recipe": recipe("grad_dot")}, "expected a recipe of a recorded run"),
    ],
)
def test_runs_that_cannot_be_recorded(
    options: dict[str, Any], change: dict[str, Any], message: str, train: Train, task: Task, tmp_path: Path
) -> None:
    run = RecordedRun(**({"task": task, "recipe": ADAM, "folder": tmp_path / "steps"} | change))
    with pytest.raises(InvalidInput, match=message):
        train([run_callback(recording=run)], **options)
    with pytest.raises(InvalidTask):
        open_recording(tmp_path / "steps")


@pytest.mark.parametrize("moment", [0, -1, 1.5, 0.0, True, "1"])
def test_moments_that_are_none(moment: Any) -> None:
    with pytest.raises(InvalidInput, match="expected checkpoints as steps"):
        run_callback(checkpoints=(moment,))


def test_checkpoints_that_would_not_stay(train: Train) -> None:
    with pytest.raises(InvalidInput, match="save_total_limit=None"):
        train([run_callback(checkpoints=(1,))], save_total_limit=1)
    with pytest.raises(InvalidInput, match="within the run's 8 steps, got one after step 9"):
        train([run_callback(checkpoints=(9,))])


def test_moments_of_other_optimizers_are_left_out(train: Train, tmp_path: Path) -> None:
    train([run_callback(checkpoints=(2,))], optim="sgd")
    place = tmp_path / "out" / "checkpoint-2"
    assert not (place / MOMENTS).exists()
    assert json.loads((place / "trainer_state.json").read_text())["global_step"] == 2
