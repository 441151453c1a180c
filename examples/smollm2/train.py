"""Fine-tune SmolLM2 with transformers' Trainer: all of its weights, or a LoRA adapter."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from byline.tasks import causal_language_model


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """One run."""

    name: str
    learning_rate: float
    lora: int | None = None
    """Rank of the adapter. None trains all weights."""
    epochs: int = 2
    batch: int = 4


RUNS = (
    FineTuning(name="lora", learning_rate=1e-3, lora=8),
    FineTuning(name="whole", learning_rate=5e-5),
)


def fine_tune(
    pretrained: Path, data: Path, folder: Path, run: FineTuning, step: Callable[[int, int], None]
) -> Path:
    """Train on the very rows that Byline attributes, and save as a user would.

    Args:
        pretrained: Folder of the pretrained model.
        data: JSONL file of the training set.
        folder: The parent of the run's folder. A finished run in it is kept.
        run: Settings.
        step: Called with the steps that are done, and with all of them.

    Returns:
        The run's folder, as `save_pretrained` and the Trainer leave it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    final = folder / run.name
    if final.is_dir():
        return final
    task = causal_language_model("smollm2", pretrained, data)
    model: Any = AutoModelForCausalLM.from_pretrained(pretrained, dtype=torch.float32)
    work = folder / f"{run.name}.part"
    shutil.rmtree(work, ignore_errors=True)
    options = TrainingArguments(
        str(work),
        num_train_epochs=run.epochs,
        per_device_train_batch_size=run.batch,
        learning_rate=run.learning_rate,
        warmup_steps=2,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    trainer = Trainer(
        _adapted(model, run),
        options,
        train_dataset=task.train_set,
        data_collator=task.collate,
        callbacks=[_told(step)],
    )
    trainer.train()
    trainer.save_model(str(work))
    AutoTokenizer.from_pretrained(pretrained).save_pretrained(work)
    return work.rename(final)


def _adapted(model: Any, run: FineTuning) -> Any:
    if run.lora is None:
        return model
    from peft import LoraConfig, get_peft_model

    options = LoraConfig(
        r=run.lora, lora_alpha=2 * run.lora, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, options)


def _told(step: Callable[[int, int], None]) -> Any:
    from transformers import TrainerCallback

    class Told(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            del args, control, more
            step(state.global_step, state.max_steps)

    return Told()
