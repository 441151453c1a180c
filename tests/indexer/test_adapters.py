"""LoRA members: trained by the Task's own loss, differentiated exactly, indexed, asked and told apart."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidInput, InvalidRecipe, InvalidTask, StaleIndex
from byline.features.queries import Featurizer
from byline.gradients.masks.mask import DropoutMask
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.members import Member, MemberPlan
from byline.models.checkpoints import checkpoint_digests, load_checkpoint, weights_digest
from byline.models.member import MemberModel
from byline.models.network import load_network
from byline.recipes import recipe
from byline.search.searcher import Searcher
from byline.task import Task
from byline_indexer.adapters import AdapterOptions, train_adapters
from byline_indexer.build.build import build
from byline_indexer.build.probe import make_plan
from tests.indexer.conftest import TINY, Config

peft = pytest.importorskip("peft", reason="the extra `lora` is not installed")

OPTIONS = AdapterOptions(rank=2, epochs=2, batch=16, learning_rate=0.02)
ASK = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("adapters")
    task = load_task(f"{TINY}:task").task
    checkpoints = [
        replace(checkpoint, adapters=train_adapters(task, place, OPTIONS, folder / f"c{place}", count=2))
        for place, checkpoint in enumerate(task.checkpoints)
    ]
    return replace(task, checkpoints=checkpoints)


@pytest.fixture
def adapted(trained: Task, tmp_path: Path) -> Path:
    """The tiny Task's file, with adapters in folders relative to it."""
    for place, checkpoint in enumerate(trained.checkpoints):
        for number, folder in enumerate(checkpoint.adapters):
            shutil.copytree(folder, tmp_path / f"adapters/c{place}-{number}")
    text = TINY.read_text().replace(
        "Checkpoint(weights=weights(seed),",
        'Checkpoint(weights=weights(seed), adapters=[Path(f"adapters/c{seed}-{l}") for l in range(2)],',
    )
    assert "adapters=" in text
    path = tmp_path / "adapted_task.py"
    path.write_text("from pathlib import Path\n" + text)
    return path


def loss(model: nn.Module, task: Task) -> float:
    with torch.no_grad():
        return float(task.loss(model.eval(), task.collate(list(task.train_set))).mean())


def by_peft(task: Task, member: Member) -> nn.Module:
    """The adapted network as peft itself opens it."""
    model = task.model()
    load_checkpoint(model, task.checkpoints[member.checkpoint])
    return peft.PeftModel.from_pretrained(
        model, task.checkpoints[member.checkpoint].adapters[member.adapter]
    ).eval()


def test_training_lowers_the_loss_and_adapters_differ(trained: Task) -> None:
    whole = MemberModel.load(trained, recipe("grad_dot"), Member(0)).model
    models = [MemberModel.load(trained, recipe("grad_dot"), Member(0, None, a)).model for a in (0, 1)]
    assert all(loss(model, trained) < loss(whole, trained) for model in models)
    assert loss(models[0], trained) != loss(models[1], trained)


def test_the_network_is_the_one_that_peft_opens(trained: Task) -> None:
    member = Member(1, None, 1)
    inputs = trained.collate(list(trained.train_set))[0]
    model = MemberModel.load(trained, recipe("grad_dot"), member).model
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), by_peft(trained, member)(inputs))


@pytest.mark.parametrize("mask", [None, 3])
def test_gradients_are_those_of_the_adapters_parameters_alone(trained: Task, mask: int | None) -> None:
    member = Member(0, mask, 1)
    loaded = MemberModel.load(trained, recipe("grad_dot"), member)
    assert all(".lora_" in name for block in loaded.blocks for name in block.parameters)
    items = [trained.train_set[row] for row in range(4)]
    found = loaded.gradients(items)
    reference = by_peft(trained, member).base_model.model
    for n, item in enumerate(items):
        batch = trained.collate([item])
        chosen = {name: p for name, p in reference.named_parameters() if "lora_" in name}
        for p in chosen.values():
            p.requires_grad_()
        if mask is None:
            value = trained.loss(reference, batch).sum()
        else:
            with DropoutMask(reference, mask).active():
                value = trained.loss(reference, batch).sum()
        grads = dict(zip(chosen, torch.autograd.grad(value, list(chosen.values())), strict=True))
        for block in loaded.blocks:
            torch.testing.assert_close(
                found.blocks[block.name].dense()[n], grads[block.name], rtol=1e-4, atol=1e-6
            )


def test_members_are_checkpoints_times_adapters_times_masks() -> None:
    names = [m.name for m in MemberPlan(adapters=2, masks=2).members(2)]
    assert names == [f"c{c}-a{a}-m{m}" for c in range(2) for a in range(2) for m in range(2)]
    assert [m.name for m in MemberPlan(adapters=1).members(1)] == ["c0-a0"]
    assert Member(0, 1).same_model(Member(0, 2))
    assert not Member(0, 1, 0).same_model(Member(0, 1, 1))


@pytest.mark.parametrize("members", [{"adapters": 2}, {"adapters": 2, "masks": 2, "checkpoints": [0]}])
def test_an_index_of_adapters_answers(
    config: Config, adapted: Path, trained: Task, members: dict[str, object]
) -> None:
    chosen = config("ekfac", task=adapted, changes={"members": members, "pca": {"size": 40}})
    with AttributionIndex.open(build(chosen).path) as index:
        assert [m.name for m in index.members] == [m.name for m in MemberPlan(**members).members(2)]
        assert index.members[-1].adapter == 1
        states = {m.name: index.states(m.name) for m in index.members}
        features = Featurizer.open(trained, index.recipe, states).query([trained.train_set[3]])
        assert Searcher(index).search(features, 1).scores_QK[0, 0] > 0
        answer = Attributor.open(index.path).attribute(AttributionRequest(query=ASK, members=True))
        assert answer.standard_error_scope == (
            "within_checkpoint" if members.get("checkpoints") else "between_checkpoints"
        )
        assert answer.standard_error_units == 2, "adapters or checkpoints, whatever masks each has"
        assert set(answer.proponents[0].members) == set(states)
        bare = Attributor.open_without_task(index.path)
        assert all(".lora_" in name for name in bare.expected_gradients())


def test_base_weights_are_kept_once(trained: Task, config: Config, adapted: Path) -> None:
    chosen = config("grad_dot", task=adapted, changes={"members": {"adapters": 2, "checkpoints": [0]}})
    index = AttributionIndex.open(build(chosen).path)
    opened = Featurizer.open(trained, index.recipe, {m.name: index.states(m.name) for m in index.members})
    first, second = (dict(m.model.named_parameters()) for m in opened._models.values())
    shared = {n for n in first if first[n].data_ptr() == second[n].data_ptr()}
    assert shared == {n for n in first if "lora_" not in n}


def test_an_adapter_that_changed_makes_the_index_stale(config: Config, adapted: Path) -> None:
    chosen = config("grad_dot", task=adapted, changes={"members": {"adapters": 1}})
    path = build(chosen).path
    Attributor.open(path)
    file = adapted.parent / "adapters/c1-0/adapter_model.safetensors"
    tensors = {name: tensor + 0.01 for name, tensor in load_file(file).items()}
    save_file(tensors, file)
    with pytest.raises(StaleIndex):
        Attributor.open(path)


def test_an_adapter_is_held_to_its_digest_when_it_is_loaded(adapted: Path) -> None:
    task = load_task(f"{adapted}:task").task
    checkpoint = replace(task.checkpoints[0], expected=checkpoint_digests(task.checkpoints[0], 1))
    held = replace(task, checkpoints=[checkpoint, *task.checkpoints[1:]])
    load_network(held, Member(0, adapter=0))
    file = Path(checkpoint.adapters[0]) / "adapter_model.safetensors"
    save_file({name: tensor + 0.01 for name, tensor in load_file(file).items()}, file)
    with pytest.raises(StaleIndex, match=r"adapter at .* changed"):
        load_network(held, Member(0, adapter=0))


def test_the_digest_covers_the_adapters_that_are_used(trained: Task) -> None:
    checkpoint = trained.checkpoints[0]
    digests = [weights_digest(checkpoint_digests(checkpoint, count)) for count in range(3)]
    assert len(set(digests)) == 3
    assert checkpoint_digests(replace(checkpoint, adapters=())).weights == digests[0]


def test_more_adapters_than_there_are(config: Config, adapted: Path) -> None:
    with pytest.raises(InvalidRecipe, match="train-adapters"):
        build(config("grad_dot", task=adapted, changes={"members": {"adapters": 3}}))


def test_adapters_of_other_shapes_are_refused(trained: Task, config: Config, tmp_path: Path) -> None:
    other = train_adapters(trained, 0, replace(OPTIONS, rank=3), tmp_path / "other", count=1)
    checkpoint = replace(trained.checkpoints[0], adapters=[trained.checkpoints[0].adapters[0], *other])
    task = replace(trained, checkpoints=[checkpoint])
    with pytest.raises(InvalidTask, match="same target modules and ranks"):
        make_plan(config("grad_dot", changes={"members": {"adapters": 2}}), task)


@pytest.mark.parametrize("spoil", ["pickle", "kind", "missing", "modules", "extra"])
def test_folders_that_hold_something_else(trained: Task, tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(trained.checkpoints[0].adapters[0], folder)
    settings = json.loads((folder / "adapter_config.json").read_text())
    weights = folder / "adapter_model.safetensors"
    match spoil:
        case "pickle":
            torch.save(load_file(weights), folder / "adapter_model.bin")
            weights.unlink()
        case "kind":
            settings["peft_type"] = "IA3"
        case "missing":
            (folder / "adapter_config.json").unlink()
        case "modules":
            settings["target_modules"] = ["absent"]
        case _:
            save_file({**load_file(weights), "base_model.model.0.bias": torch.zeros(8)}, weights)
    if spoil in {"kind", "modules"}:
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    task = replace(trained, checkpoints=[replace(trained.checkpoints[0], adapters=[folder])])
    with pytest.raises(InvalidTask):
        MemberModel.load(task, recipe("grad_dot"), Member(0, None, 0))


def test_finished_adapters_stay_and_others_are_trained(tmp_path: Path) -> None:
    task = load_task(f"{TINY}:task").task
    first = train_adapters(task, 0, OPTIONS, tmp_path, count=1)
    before = (first[0] / "adapter_model.safetensors").stat().st_mtime_ns
    both = train_adapters(task, 0, OPTIONS, tmp_path, count=2)
    assert (both[0] / "adapter_model.safetensors").stat().st_mtime_ns == before
    (tmp_path / "again").mkdir()
    again = train_adapters(task, 0, OPTIONS, tmp_path / "again", count=2)
    for one, other in zip(both, again, strict=True):
        for name, tensor in load_file(one / "adapter_model.safetensors").items():
            assert torch.equal(tensor, load_file(other / "adapter_model.safetensors")[name])
    with pytest.raises(InvalidInput, match="delete it"):
        train_adapters(task, 0, replace(OPTIONS, rank=4), tmp_path, count=1)
    with pytest.raises(InvalidInput, match="below 2"):
        train_adapters(task, 5, OPTIONS, tmp_path, count=1)


def test_without_peft_the_message_names_the_extra(trained: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(InvalidRecipe, match=r"byline\[lora\]"):
        MemberModel.load(trained, recipe("grad_dot"), Member(0, None, 0))


def test_a_hugging_face_causal_model(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 12, "vocab_size": 20}

    def network() -> nn.Module:
        torch.manual_seed(0)
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))

    def next_token(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=tokens, use_cache=False).logits
        return nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
        ).mean(dim=1)

    from byline.api.example import Example
    from byline.task import Checkpoint

    generator = torch.Generator().manual_seed(1)
    task = Task(
        name="gpt",
        model=network,
        checkpoints=[Checkpoint(weights=network().state_dict())],
        train_set=[torch.randint(20, (12,), generator=generator) for _ in range(24)],
        describe=lambda row: Example(id=str(row)),
        loss=next_token,
    )
    folders = train_adapters(task, 0, OPTIONS, tmp_path, count=2)
    task = replace(task, checkpoints=[replace(task.checkpoints[0], adapters=folders)])
    loaded = MemberModel.load(task, recipe("grad_dot"), Member(0, 5, 1))
    assert {b.name.split(".lora_")[0] for b in loaded.blocks} == {
        "transformer.h.0.attn.c_attn",
        "transformer.h.0.attn.c_proj",
        "transformer.h.0.mlp.c_fc",
        "transformer.h.0.mlp.c_proj",
    }
    assert np.isfinite(loaded.gradients([task.train_set[0]]).dense().numpy()).all()
