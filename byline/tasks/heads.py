"""Heads of Hugging Face models: a model of another kind is refused before its weights are read."""

import re
from typing import Any, Literal

from byline.errors import InvalidTask
from byline.tasks.library import transformers

Head = Literal["AutoModelForCausalLM", "AutoModelForSequenceClassification"]
_MAPPINGS = {
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
}
_NOT_CAUSAL = re.compile(
    r"For(MaskedLM|PreTraining|NextSentencePrediction|QuestionAnswering|MultipleChoice|\w*Classification)$"
)
"""Classes whose weights would load into a causal language model with a tied head, which computes something else."""


def require_head(config: Any, head: Head) -> None:
    """Require that a folder's model has a head of this kind.

    Args:
        config: Of the model, with the names of the classes that were saved.
        head: The class of transformers that builds it.

    Raises:
        InvalidTask: It has another, or transformers builds none for it.
    """
    saved = [str(name) for name in getattr(config, "architectures", None) or ()]
    if type(config) not in getattr(transformers(), _MAPPINGS[head]):
        raise _other_kind(head, saved[0] if saved else type(config).__name__)
    if head == "AutoModelForCausalLM":
        for name in saved:
            require_causal(name)
        if getattr(config, "is_encoder_decoder", False) and not any(n.endswith("CausalLM") for n in saved):
            raise _other_kind(head, saved[0] if saved else type(config).__name__)


def require_causal(name: str) -> None:
    """Require that a class is not one of another head than a causal language model's.

    Args:
        name: Of the class.

    Raises:
        InvalidTask: It is one of another head.
    """
    if _NOT_CAUSAL.search(name):
        raise _other_kind("AutoModelForCausalLM", name)


def _other_kind(head: Head, name: str) -> InvalidTask:
    expected = "a causal language model" if head == "AutoModelForCausalLM" else "a classifier of texts"
    return InvalidTask(
        f"expected {expected} of transformers, got {name:.80}: declare classifiers of texts with "
        f"byline.tasks.sequence_classifier, and other models with byline.tasks.from_model"
    )
