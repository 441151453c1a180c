"""Folders of `save_pretrained` of other families than GPT-2's, in shards: every parameter with a gradient is attributed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from byline.members import Member
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.tasks import Document, LocalModel, causal_language_model

base = pytest.importorskip("tests.byline.gradients.families.base")

RECIPE = recipe("grad_dot")
GROUPED = {**base.GROUPED, "vocab_size": 300}
MAMBA = {"vocab_size": 300, "hidden_size": 8, "state_size": 3, "num_hidden_layers": 1, "pad_token_id": 0}
ROUTED = {"moe_intermediate_size": 8, "num_experts": 3, "num_experts_per_tok": 2}


@pytest.mark.parametrize(
    ("kind", "config", "sizes"),
    [
        ("Gemma3ForCausalLM", "Gemma3TextConfig", GROUPED),
        ("MambaForCausalLM", "MambaConfig", MAMBA),
        ("MixtralForCausalLM", "MixtralConfig", {**GROUPED, "num_local_experts": 3}),
        ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**GROUPED, **ROUTED}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_every_parameter_with_a_gradient_is_attributed(
    lm_folder: Path, tmp_path: Path, documents: list[Document], kind: str, config: str, sizes: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    model = base.built(kind, config, **sizes)().bfloat16()
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(lm_folder / name, tmp_path)
    task = causal_language_model("tiny", LocalModel(folder=tmp_path, context=12), documents)
    report = MemberModel.load(task, RECIPE, Member(0)).report
    tokens = torch.randint(3, 300, (4, 12))
    model.float()(input_ids=tokens, labels=tokens).loss.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached <= {*report.attributed, *report.unused}
    assert report.passes == "batch"
    assert report.precision == ("float32",)
