"""A run of Hugging Face's Trainer is one argument: its checkpoints with steps, rates and moments, whole or an adapter's."""

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

import byline
from byline.members import Member
from byline.models.checkpoints import checkpoint_digests
from byline.models.network import load_network
from byline.models.optimizer_state import load_optimizer_state
from byline.tasks import LocalModel, causal_language_model
from tests.byline.tasks.adapters import tuned_model
from tests.byline.tasks.conftest import TEXTS

pytest.importorskip("accelerate")
ROWS = [{"text": text, "owner": f"owner {n}"} for n, text in enumerate(TEXTS)]


def run(model: Any, folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """Train for four steps; return Adam's second moments of each saved step by the model's names."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    moments: dict[int, dict[str, torch.Tensor]] = {}

    class Moments(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
        def on_save(
            self, args: Any, state: Any, control: Any, *, model: Any, optimizer: Any, **more: Any
        ) -> None:
            inner = getattr(optimizer, "optimizer", optimizer)
            moments[state.global_step] = {
                name.removeprefix("base_model.model."): inner.state[p]["exp_avg_sq"].clone()
                for name, p in model.named_parameters()
                if p in inner.state
            }

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=4,
        save_steps=2,
        logging_steps=1,
        learning_rate=0.01,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    items = [{"input_ids": list(range(n, n + 8)), "labels": list(range(n, n + 8))} for n in range(1, 9)]
    Trainer(
        model=model, args=arguments, train_dataset=datasets.Dataset.from_list(items), callbacks=[Moments()]
    ).train()
    return moments


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("adapted", [False, True])
def test_a_trainers_output_folder(lm_folder: Path, tmp_path: Path, adapted: bool) -> None:
    from transformers import GPT2LMHeadModel

    model = tuned_model(lm_folder) if adapted else GPT2LMHeadModel.from_pretrained(lm_folder)
    moments = run(model, tmp_path)
    local = LocalModel(folder=lm_folder, adapter=tmp_path) if adapted else LocalModel(folder=tmp_path)
    if not adapted:  # the Trainer saves no tokenizer that it was not given
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(lm_folder).save_pretrained(tmp_path)
    task = causal_language_model("run", local, ROWS)
    assert [(c.name, c.steps) for c in task.checkpoints] == [("checkpoint-2", 2), ("checkpoint-4", 4)]
    assert all(c.learning_rate is not None and 0 < c.learning_rate <= 0.01 for c in task.checkpoints)
    for checkpoint in task.checkpoints:
        found = load_optimizer_state(checkpoint, task.model)
        assert found is not None
        assert checkpoint.steps is not None
        expected = moments[checkpoint.steps]
        assert {f"exp_avg_sq/{name}" for name in expected} == {
            n for n in found if n.startswith("exp_avg_sq/")
        }
        for name, tensor in expected.items():
            torch.testing.assert_close(found[f"exp_avg_sq/{name}"], tensor)
        assert checkpoint_digests(checkpoint, moments=task.model).optimizer_state is not None
    tokens_1T = torch.arange(1, 9)[None]
    torch.testing.assert_close(
        load_network(task, Member(1))(tokens_1T).logits, model.eval()(tokens_1T).logits
    )
    if adapted:
        index = byline.build(task, "less", tmp_path / "index", progress=False)
        assert index.attribute({"text": "import", "completion": " os"}).proponents
