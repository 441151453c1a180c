"""Checkpoints are read without running code and are held to their digests."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from byline.errors import InvalidTask, StaleIndex
from byline.models.checkpoints import checkpoint_digests, load_checkpoint, load_weights
from byline.task import Checkpoint
from tests.reference.models import TinyTransformer


def test_the_two_file_formats_have_one_digest(tmp_path: Path) -> None:
    weights = nn.Linear(3, 2).state_dict()
    save_file(weights, tmp_path / "a.safetensors")
    torch.save(weights, tmp_path / "a.pt")
    digests = {
        checkpoint_digests(Checkpoint(weights=w)).weights
        for w in (weights, tmp_path / "a.safetensors", tmp_path / "a.pt")
    }
    assert len(digests) == 1
    weights["bias"] = weights["bias"] + 1e-6
    assert checkpoint_digests(Checkpoint(weights=weights)).weights not in digests


def test_code_is_never_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "evil",))

    with (tmp_path / "evil.pt").open("wb") as file:
        pickle.dump({"weight": Evil()}, file)
    torch.save({"weight": Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(InvalidTask):
            load_weights(Checkpoint(weights=tmp_path / name))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_garbage_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"garbage" * 9)
    with pytest.raises(InvalidTask, match=r"readable|weights"):
        load_weights(Checkpoint(weights=tmp_path / name))
    with pytest.raises(InvalidTask, match="no file"):
        load_weights(Checkpoint(weights=tmp_path / "absent.pt"))


def test_missing_names_and_wrong_shapes() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(InvalidTask, match=r"1 missing.*'bias'"):
        load_checkpoint(model, Checkpoint(weights={"weight": torch.zeros(2, 3)}))
    with pytest.raises(InvalidTask, match=r"1 unknown"):
        load_checkpoint(model, Checkpoint(weights={**model.state_dict(), "more": torch.zeros(1)}))
    with pytest.raises(InvalidTask, match="shapes"):
        load_checkpoint(model, Checkpoint(weights={"weight": torch.zeros(3, 3), "bias": torch.zeros(2)}))


def test_a_tied_weight_may_be_stored_once() -> None:
    model = TinyTransformer()
    weights = {n: torch.full_like(t, 0.5) for n, t in model.state_dict().items() if n != "head.weight"}
    load_checkpoint(model, Checkpoint(weights=weights))
    assert bool((model.head.weight == 0.5).all())


def test_a_pinned_checkpoint_is_held_to_its_digest_whenever_it_is_loaded(tmp_path: Path) -> None:
    model, file = nn.Linear(3, 2), tmp_path / "a.safetensors"
    save_file(model.state_dict(), file)
    plain = Checkpoint(weights=file)
    held = replace(plain, expected=checkpoint_digests(plain))
    load_checkpoint(model, held)
    save_file({name: tensor + 1 for name, tensor in model.state_dict().items()}, file)
    with pytest.raises(StaleIndex, match=r"weights at .*a\.safetensors changed.*restore"):
        load_checkpoint(model, held)
    load_checkpoint(model, plain)


def test_weights_that_a_task_draws_anew_are_noticed() -> None:
    checkpoint = Checkpoint(weights=nn.Linear(3, 2).state_dict())
    held = replace(checkpoint, expected=checkpoint_digests(checkpoint))
    with pytest.raises(StaleIndex, match="seed its random numbers"):
        load_checkpoint(nn.Linear(3, 2), replace(held, weights=nn.Linear(3, 2).state_dict()))
