"""Draw models and examine them."""

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import transformers
from torch import nn

from tests.byline.gradients.drawn_models.asking import WAYS, model_class, model_types
from tests.byline.gradients.drawn_models.shrinking import TRIED, Sizes, shrunk
from tests.byline.gradients.exactness import Subject, examine, one_by_one
from tests.byline.gradients.families import base as families

MOST_NUMBERS = 3_000_000
"""Parameters of a model that counts as small."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One model and what came of it."""

    way: str
    kind: str
    outcome: Literal["exact", "refused", "silent", "crash", "none"]
    """`none` where the model itself could not be made small, or fails on the data without Byline."""
    passes: str = ""
    share: float = 0.0
    error: float = 0.0
    words: str = ""
    reference: Literal["float64", "float32"] = "float64"
    """Precision of the autograd that it was held against."""


def every_model() -> list[tuple[str, str]]:
    """(task, type of model) of all classes that can be asked."""
    return [(way, kind) for way in WAYS for kind in model_types(way)]


def drawn_models(count: int, seed: int) -> list[Drawn]:
    """Draw models until so many could be built.

    Args:
        count: How many.
        seed: Of the draw.
    """
    waiting, found = every_model(), list[Drawn]()
    random.Random(seed).shuffle(waiting)
    while waiting and sum(each.outcome != "none" for each in found) < count:
        found.append(drawn(*waiting.pop()))
    return found


def drawn(way: str, kind: str) -> Drawn:
    """Build a small model of a type, and hold its gradients against float64 autograd.

    Args:
        way: How it is asked.
        kind: transformers' name of the type.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject, words = small_subject(way, kind)
        if subject is None:
            return Drawn(way=way, kind=kind, outcome="none", words=words)
        subject, reference = _with_reference(subject)
        verdict = examine(subject)
    return Drawn(
        way=way,
        kind=kind,
        outcome=verdict.outcome,
        passes=verdict.passes,
        share=verdict.share,
        error=verdict.error,
        words=verdict.words,
        reference=reference,
    )


def _with_reference(subject: Subject) -> tuple[Subject, Literal["float64", "float32"]]:
    """Hold a model against autograd in float64, or in float32 where its code mixes the two."""
    try:
        one_by_one(subject, torch.float64)
    except RuntimeError:
        return replace(subject, reference=None), "float32"
    return subject, "float64"


def small_subject(way: str, kind: str) -> tuple[Subject | None, str]:
    """A small model of a type with its data, or why there is none."""
    words = ""
    for sizes in TRIED:
        try:
            return _asked(way, kind, sizes), ""
        except Exception as error:  # a size that does not fit: the next may
            words = words or f"{type(error).__name__}: {error}"[:200]
    return None, words


def _asked(way: str, kind: str, sizes: Sizes) -> Subject:
    config = shrunk(transformers.AutoConfig.for_model(kind), sizes)
    chosen = model_class(way, config)
    config = _own_part(config, chosen.config_class)
    config.num_labels = families.CLASSES
    config.pad_token_id = 0
    config._attn_implementation = "eager"
    if getattr(config, "is_decoder", None) is False and way == "causal language model":
        config.is_decoder = True
    family = WAYS[way].family(_maker(chosen, config), config)
    torch.manual_seed(1)
    subject = Subject(
        make=family.model,
        loss=family.loss,
        items=family.items(),
        collate=family.collate,
        in_double=families.loops_over_experts,
    )
    _require_usable(subject)
    return subject


def _own_part(config: Any, wanted: type) -> Any:
    """The part of a configuration that a class takes: the language model's of a multimodal one."""
    parts = [
        config,
        *(part for part in vars(config).values() if isinstance(part, transformers.PreTrainedConfig)),
    ]
    return next((part for part in parts if type(part) is wanted), config)


def _maker(kind: Any, config: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        return families.spread(kind(config).float())

    return make


def _require_usable(subject: Subject) -> None:
    """Require that the model works without Byline, the same twice, on one example and on all."""
    with torch.device("meta"):
        numbers = sum(p.numel() for p in subject.make().parameters())
    if numbers > MOST_NUMBERS:
        raise ValueError(f"{numbers} parameters are too many")
    model = subject.model()
    with torch.no_grad():
        for rows in ([0], list(range(len(subject.items)))):
            values = [
                subject.loss(model, subject.collate([subject.items[n] for n in rows])) for _ in range(2)
            ]
            if values[0].shape != (len(rows),) or not values[0].isfinite().all():
                raise ValueError(f"the loss is {tuple(values[0].shape)}")
            torch.testing.assert_close(*values)
