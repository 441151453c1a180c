"""Receipts of answers over HTTP: who asked what, which version answered, and the service's signature."""

import hashlib
import secrets
from datetime import UTC, datetime

import torch

from byline.api.answer import Answer
from byline.api.receipts import Receipt
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import NotPayable
from byline.index.canonical_json import canonical_digest
from byline_service.compensation.receipts import Answered, Answerer, receipt_of
from byline_service.compensation.timestamps import timestamp_text
from byline_service.signing.keys import SigningKey


def answer_receipt(
    attributor: Attributor, request: AttributionRequest, answer: Answer, key: SigningKey
) -> Receipt:
    """Sign the owners' scores of an answer.

    Args:
        attributor: The version that answered.
        request: The question.
        answer: The answer, with the shares of all owners by member.
        key: The key that signs.

    Raises:
        NotPayable: No policy could pay for it.
    """
    answered = Answered(
        id=secrets.token_hex(16),
        at=timestamp_text(datetime.now(UTC)),
        asked=request.asked,
        question=question_digest(request),
        refine=request.refine,
    )
    answerer = Answerer(
        members=attributor.members,
        manifest=attributor.index.manifest.digest,
        card=attributor.index.quality.card,
    )
    return receipt_of(answered, answerer, answer, key)


def with_receipt(
    attributor: Attributor, request: AttributionRequest, answer: Answer, *, key: SigningKey
) -> Answer:
    """Add a receipt to an answer that lists all owners by member. Other answers stay as they are.

    Args:
        attributor: The version that answered.
        request: The question.
        answer: The answer.
        key: The key that signs.
    """
    if answer.shares is None or answer.shares.others is not None or not request.members:
        return answer
    if answer.standard_error_scope is None:  # a fallback pays for the event of a question alone
        return answer
    if request.replicates or request.drill_down:  # an event has no such scores
        return answer
    try:
        receipt = answer_receipt(attributor, request, answer, key)
    except NotPayable:
        return answer
    return answer.model_copy(update={"receipt": receipt})


def question_digest(request: AttributionRequest) -> str:
    """Return the SHA-256 of a question: of the canonical JSON of its form and content, or of a gradient's tensors.

    Args:
        request: The question.
    """
    if request.gradient is None:
        return canonical_digest({request.asked: _plain(getattr(request, request.asked))})
    digest = hashlib.sha256()
    for name, tensor in sorted(request.gradient.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _plain(content: object) -> object:
    return (
        [float(number) for number in content]
        if isinstance(content, list | tuple) and _numbers(content)
        else content
    )


def _numbers(content: "list[object] | tuple[object, ...]") -> bool:
    return all(isinstance(each, int | float) for each in content)
