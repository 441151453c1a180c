"""Match stored names of weights to a model's own names, as `from_pretrained` and PyTorch do.

The same weight has other names where the model was wrapped when it was saved (`module.`, `_orig_mod.`), where the
library was older (`gamma`, `weight_g`, `weight_orig`), and where it was saved with or without what held it (`bert.`,
Lightning's `model.`). Names that fit as they are stay.
"""

import re
from collections import Counter
from collections.abc import Iterable

WRAPPERS = frozenset(
    {
        "module",
        "_orig_mod",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
        "base_layer",
        "original_module",
        "token_adapter",
    }
)
"""Attributes that `DataParallel`, `torch.compile`, FSDP, activation checkpointing and peft put between a name's parts."""
_ADAPTER_NAME = re.compile(r"\.(lora_\w+|ia3_l|modules_to_save)\.default(?=\.|$)")
"""peft leaves the adapter's name out of what it saves."""
_OLD_ENDINGS = {"gamma": "weight", "beta": "bias"}
_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.(\w+)\.(original0|original1|original|0\._u|0\._v)$")
_OLD_PARAMETRIZED = {"original0": "_g", "original1": "_v", "original": "_orig", "0._u": "_u", "0._v": "_v"}
"""`torch.nn.utils.parametrizations` to `torch.nn.utils.weight_norm` and `spectral_norm`."""


def own_names(stored: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """Find the model's name of every stored name that has one.

    Args:
        stored: Names in a checkpoint.
        own: Names of the model's state dict.

    Returns:
        Stored name -> own name, each own name at most once.
    """
    stored, own = list(stored), list(own)
    known = set(own)
    found = {name: name for name in stored if name in known}
    free_own = _by_plain_name(name for name in own if name not in found)
    free_stored = _by_plain_name(name for name in stored if name not in found)
    found |= {free_stored[name]: free_own[name] for name in free_stored if name in free_own}
    free_own = {plain: name for plain, name in free_own.items() if plain not in free_stored}
    free_stored = {plain: name for plain, name in free_stored.items() if name not in found}
    strip, add = common_prefix(free_stored, free_own)
    for plain, name in free_stored.items():
        moved = add + plain.removeprefix(strip) if plain.startswith(strip) else plain
        if moved in free_own:
            found[name] = free_own[moved]
    return found


def plain_name(name: str) -> str:
    """Normalize a name, without wrappers of the model and in the spelling of today's releases."""
    name = _ADAPTER_NAME.sub(r".\1", name)
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    if parts:
        parts[-1] = _OLD_ENDINGS.get(parts[-1], parts[-1])
    return _PARAMETRIZED.sub(lambda m: f"{m[1]}{m[2]}{_OLD_PARAMETRIZED[m[3]]}", ".".join(parts))


def common_prefix(stored: Iterable[str], own: Iterable[str]) -> tuple[str, str]:
    """Find what stands before most stored names and no own name, or the other way round.

    Args:
        stored: Names that fit no own name as they are.
        own: Names that no stored name fits as it is.

    Returns:
        What to take off stored names, and what to put before them; of the two one is empty, and both are where
        fewer than half of the names would fit.
    """
    stored, own = set(stored), set(own)
    votes: Counter[tuple[str, str]] = Counter()
    for name in stored:
        votes.update((name[:cut], "") for cut in _cuts(name) if name[cut:] in own)
    for name in own:
        votes.update(("", name[:cut]) for cut in _cuts(name) if name[cut:] in stored)
    if not votes:
        return "", ""
    best, count = max(votes.items(), key=lambda vote: (vote[1], -len("".join(vote[0])), vote[0]))
    return best if 2 * count >= min(len(stored), len(own)) else ("", "")


def _cuts(name: str) -> list[int]:
    return [place + 1 for place, letter in enumerate(name) if letter == "."]


def _by_plain_name(names: Iterable[str]) -> dict[str, str]:
    """Names by their plain spelling, without those that share one."""
    names = list(names)
    shared = Counter(plain_name(name) for name in names)
    return {plain_name(name): name for name in names if shared[plain_name(name)] == 1}
