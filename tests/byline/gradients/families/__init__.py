"""Families of models as transformers and peft make them: tiny, from configurations, with nothing downloaded."""

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.families.adapters import adapted
from tests.byline.gradients.families.base import Family, case
from tests.byline.gradients.families.causal import causal_models
from tests.byline.gradients.families.encoders import encoder_decoders, encoders
from tests.byline.gradients.families.experts import expert_models
from tests.byline.gradients.families.perception import image_models, paired_models
from tests.byline.gradients.families.recurrent import recurrent_models


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


def cases() -> list[ModelCase]:
    """Every family, and every way to adapt one."""
    return [case(kind, form, family) for (kind, form), family in {**families(), **adapted()}.items()]
