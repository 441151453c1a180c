"""Families of models as transformers and peft make them: tiny, from configurations, with nothing downloaded."""

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.families.adapters import adapted
from tests.byline.gradients.families.base import Family, case
from tests.byline.gradients.families.causal import causal_models
from tests.byline.gradients.families.encoders import encoder_decoders, encoders
from tests.byline.gradients.families.experts import expert_models
from tests.byline.gradients.families.perception import image_models, paired_models
from tests.byline.gradients.families.recurrent import recurrent_models

WITH_FLOAT32 = {"MPT", "Gemma 2", "Mistral", "Qwen3-Next", "DeepSeek-V3"}
"""Families whose code computes a part in float32, whatever the weights are."""


def families() -> dict[tuple[str, str], Family]:
    """(family, form) -> how it is built and asked."""
    return {
        **causal_models(),
        **recurrent_models(),
        **expert_models(),
        **encoders(),
        **encoder_decoders(),
        **image_models(),
        **paired_models(),
    }


def in_any_precision() -> list[ModelCase]:
    """One form of every family that has no precision of its own, for checks in double precision."""
    first: dict[str, ModelCase] = {}
    for (kind, form), family in families().items():
        if "float16" not in form and kind not in WITH_FLOAT32:
            first.setdefault(kind, case(kind, form, family))
    return list(first.values())


def cases() -> list[ModelCase]:
    """Every family, and every way to adapt one."""
    return [case(kind, form, family) for (kind, form), family in {**families(), **adapted()}.items()]
