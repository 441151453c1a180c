"""Payloads of queries: pydantic models that fit each Task.

Every length has a bound and every number must be finite, so that nothing unusable reaches a model.
"""

import json
import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    StrictStr,
    create_model,
    model_validator,
)
from torch import Tensor

from byline.errors import InvalidQuery

FiniteNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A number that is neither NaN nor infinite. Strings and booleans are refused."""
ClassName = Annotated[StrictStr, Field(min_length=1, max_length=500)]
ClassLabel = Annotated[
    ClassName | Annotated[StrictInt, Field(ge=0, lt=2**31)] | None,
    Field(description="A class's name or position; left out, the model's own prediction is taken."),
]

CHARACTERS_PER_TOKEN = 64
"""Bound of a text payload. The tokens themselves are counted after."""


class Payload(BaseModel):
    """Forbids what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


EXAMPLE_NUMBERS = 4096
"""Most numbers of an example query: it is part of the schema that clients read."""


def vector_payload(like: Tensor, label: Any = ClassLabel) -> type[Payload]:
    """Make `{"features": [numbers], "label": optional}`.

    Args:
        like: A vector of the training set: gives the length and the example.
        label: Type of the label.

    Returns:
        The payload.
    """
    size = len(like)
    numbers = Annotated[
        list[FiniteNumber],
        Field(max_length=size, description=f"{size} numbers.", examples=example_numbers(like)),
    ]
    return create_model("VectorQuery", __base__=Payload, features=(numbers, ...), label=(label, None))


EXAMPLE_DIGITS = 4
"""Significant digits of an example's numbers."""


def image_payload(like: Tensor, *, digits: int = EXAMPLE_DIGITS) -> type[Payload]:
    """Make `{"image": pixels, "label": optional}` for images of shape [C, H, W] or [H, W].

    Args:
        like: An image of the training set: gives the shape and the example.
        digits: Significant digits of the example's numbers.

    Returns:
        A payload that takes nested lists, without the channel axis where there is one channel, or
        all pixels in one flat list, row by row.
    """
    shape = like.shape
    height, width = shape[-2:]
    row = Annotated[list[FiniteNumber], Field(max_length=width)]
    plane = Annotated[list[row], Field(max_length=height)]
    flat = Annotated[list[FiniteNumber], Field(max_length=math.prod(shape))]
    stack = Annotated[list[plane], Field(max_length=shape[0] if len(shape) == 3 else 1)]
    pixels = Annotated[
        flat | plane | stack,
        Field(
            union_mode="left_to_right",
            description=f"Pixels of shape {list(shape)}, as nested lists or one flat list.",
            examples=example_numbers(like, digits),
            json_schema_extra=image_form(like),
        ),
    ]
    return create_model("ImageQuery", __base__=Payload, image=(pixels, ...), label=(ClassLabel, None))


RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""Usual ranges of an image's numbers, the narrowest first."""


def image_form(like: Tensor) -> dict[str, Any]:
    """Declare how a file of an image becomes a query's numbers: in the field's JSON schema, as `x-image`.

    Args:
        like: An image of the training set, [C, H, W] or [H, W].

    Returns:
        Channels, height, width, and the numbers of black and white. Empty if the image has neither one nor three
        channels, or if its numbers lie in no usual range, as normalized ones do.
    """
    channels = 1 if like.dim() == 2 else like.shape[0]
    ends = torch.aminmax(like.detach().to("cpu", torch.float64)) if like.numel() else None
    if ends is None or channels not in (1, 3):
        return {}
    for low, high in RANGES:
        if low <= float(ends.min) and float(ends.max) <= high:
            height, width = like.shape[-2:]
            form = {"channels": channels, "height": height, "width": width, "low": low, "high": high}
            return {"x-image": form}
    return {}


def example_numbers(like: Tensor, digits: int = EXAMPLE_DIGITS) -> list[Any] | None:
    """Make a field's `examples` of a training input: so that people see what a query looks like.

    Args:
        like: The input.
        digits: Significant digits of its numbers.

    Returns:
        One example. None where it is too long or not finite.
    """
    if like.numel() > EXAMPLE_NUMBERS or not torch.isfinite(like).all():
        return None
    return [_rounded(like.detach().to("cpu", torch.float64).tolist(), digits)]


def _rounded(numbers: Any, digits: int) -> Any:
    if isinstance(numbers, list):
        return [_rounded(each, digits) for each in numbers]
    return float(f"{numbers:.{digits}g}")


TARGETED = ("rather_than", "target_tokens", "target_text")
"""Fields that choose what of a completion is attributed."""


class CausalTextQuery(Payload):
    """A prompt, and what followed it."""

    text: StrictStr = Field(min_length=1)
    completion: StrictStr | None = Field(default=None, min_length=1)
    attribute: Literal["completion", "text"] = Field(
        default="completion",
        description="Attribute the completion given the text (left out, the model generates one), "
        "or the text itself.",
    )
    rather_than: StrictStr | None = Field(
        default=None,
        min_length=1,
        description="Another completion: the target of the completion minus that of this one is attributed.",
    )
    target_tokens: tuple[StrictInt, StrictInt] | None = Field(
        default=None,
        description="First token of the completion that is attributed, from 0, and the token after the last one.",
    )
    target_text: StrictStr | None = Field(
        default=None,
        min_length=1,
        description="Words of the completion: the tokens at their first occurrence are attributed.",
    )

    @property
    def has_completion(self) -> bool:
        """Whether a completion is attributed that the query gives."""
        return self.completion is not None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.attribute == "text" and self.completion is not None:
            raise InvalidQuery("expected no completion where the text itself is attributed")
        for name in TARGETED:
            if getattr(self, name) is not None and not self.has_completion:
                raise InvalidQuery(f"expected a completion beside {name}, got none")
        if sum(getattr(self, name) is not None for name in TARGETED) > 1:
            raise InvalidQuery("expected one of rather_than, target_tokens and target_text, got several")
        return self


class Message(Payload):
    """A turn of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: StrictStr | None = Field(default=None, description="Null only beside `tool_calls`.")
    tool_calls: tuple[dict[str, JsonValue], ...] | None = Field(
        default=None, description="Calls of tools, as the chat template takes them."
    )
    name: StrictStr | None = Field(default=None, max_length=500, description="Name of a tool that answers.")
    tool_call_id: StrictStr | None = Field(
        default=None, max_length=500, description="Call that a tool answers."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise InvalidQuery(
                "expected the content of a message, which an assistant's tool_calls alone replace"
            )
        return self

    @property
    def turn(self) -> dict[str, Any]:
        """The turn as a chat template takes it."""
        return self.model_dump(exclude_none=True)


class ChatQuery(CausalTextQuery):
    """A chat, or a prompt without the chat template and what followed it."""

    text: StrictStr = Field(default="", min_length=1)
    messages: tuple[Message, ...] = ()
    given: StrictInt | None = Field(
        default=None,
        ge=0,
        description="Messages at the beginning that are a prompt: the assistant's turns behind them are attributed. Left "
        "out, the last turn alone is attributed.",
    )
    tools: tuple[dict[str, JsonValue], ...] = Field(
        default=(), description="Tools as JSON schemas, which the chat template may write."
    )

    @property
    def has_completion(self) -> bool:
        """Whether a completion, or the last turn of a chat, is attributed that the query gives."""
        answered = bool(self.messages) and self.messages[-1].role == "assistant"
        return self.completion is not None or (answered and self.attribute == "completion")

    @property
    def prompt(self) -> int:
        """Messages at the beginning that are a prompt. None of them are where the chat itself is attributed."""
        if self.attribute == "text":
            return 0
        return len(self.messages) - 1 if self.given is None else self.given

    @model_validator(mode="before")
    @classmethod
    def _joined(cls, raw: Any) -> Any:
        """Take a prompt and a completion that are lists of messages, as rows of training data have them, as one chat."""
        if not isinstance(raw, dict):
            return raw
        return joined_chat(raw)

    @model_validator(mode="after")
    def _text_or_messages(self) -> Self:
        if bool(self.text) == bool(self.messages):
            raise InvalidQuery("expected either text or messages, got both or neither")
        if self.messages and self.completion is not None:
            raise InvalidQuery(
                "expected the completion of a chat as its last message, got it beside the messages"
            )
        if (self.given is not None or self.tools) and not self.messages:
            raise InvalidQuery("expected given and tools only beside messages, got them beside a text")
        if self.given is not None and (self.given >= len(self.messages) or self.attribute == "text"):
            raise InvalidQuery(
                f"expected given to leave turns to attribute, got {self.given} of {len(self.messages)} messages"
            )
        chosen = any(getattr(self, name) is not None for name in TARGETED)
        if chosen and self.prompt < len(self.messages) - 1:
            raise InvalidQuery(
                f"expected no given beside {', '.join(TARGETED)}, which choose in the last turn"
            )
        return self


def joined_chat(raw: dict[str, Any]) -> dict[str, Any]:
    """Join a prompt and a completion that are lists of messages.

    Args:
        raw: Fields of a query, in any form.

    Returns:
        `messages`, with the length of the prompt as `given`. Other fields as they are: another form is found by the types.
    """
    prompt, completion = raw.get("prompt"), raw.get("completion")
    if not (isinstance(prompt, list) and isinstance(completion, list | None) and "messages" not in raw):
        return raw
    others = {name: value for name, value in raw.items() if name not in {"prompt", "completion"}}
    given = {} if completion is None or "given" in raw else {"given": len(prompt)}
    return {**others, "messages": [*prompt, *(completion or [])], **given}


def causal_text_payload(context: int, *, chat: bool = False) -> type[CausalTextQuery]:
    """Make `{"text": ..., "completion": optional}`, or `{"messages": [...]}` too.

    Args:
        context: Tokens that the model sees.
        chat: Whether the tokenizer has a chat template.

    Returns:
        The payload.
    """
    text = Annotated[StrictStr, Field(min_length=1, max_length=context * CHARACTERS_PER_TOKEN)]
    bounded: dict[str, Any] = {
        "completion": (text | None, Field(default=None, description="What followed the text.")),
        "rather_than": (text | None, CausalTextQuery.model_fields["rather_than"]),
        "target_text": (text | None, CausalTextQuery.model_fields["target_text"]),
    }
    if not chat:
        shown = Field(description="What the model is shown.")
        return create_model("TextQuery", __base__=CausalTextQuery, text=(text, shown), **bounded)
    content = Annotated[StrictStr, Field(max_length=context * CHARACTERS_PER_TOKEN)]
    objects = Annotated[tuple[dict[str, JsonValue], ...], AfterValidator(partial(_short, limit=context))]
    message: Any = create_model(
        "ChatMessage",
        __base__=Message,
        content=(content | None, Message.model_fields["content"]),
        tool_calls=(objects | None, Message.model_fields["tool_calls"]),
    )
    turns = Field(
        default=(),
        max_length=context,
        description="Turns of a chat. The assistant's last turn is attributed; left out, the model writes it.",
    )
    shown = Field(default="", description="What the model is shown in place of a chat, without the template.")
    return create_model(
        "ChatTextQuery",
        __base__=ChatQuery,
        text=(text, shown),
        messages=(tuple[message, ...], turns),
        tools=(objects, ChatQuery.model_fields["tools"]),
        **bounded,
    )


def _short(objects: tuple[dict[str, JsonValue], ...], limit: int) -> tuple[dict[str, JsonValue], ...]:
    """Refuse JSON that cannot fit a context of `limit` tokens."""
    size = len(json.dumps(objects))
    if size > limit * CHARACTERS_PER_TOKEN:
        raise InvalidQuery(
            f"expected JSON of at most {limit * CHARACTERS_PER_TOKEN} characters, got {size}: shorten it"
        )
    return objects


def labeled_text_payload(context: int) -> type[Payload]:
    """Make `{"text": ..., "label": optional}` for a classifier that sees `context` tokens."""
    text = Annotated[StrictStr, Field(min_length=1, max_length=context * CHARACTERS_PER_TOKEN)]
    return create_model("LabeledTextQuery", __base__=Payload, text=(text, ...), label=(ClassLabel, None))


def class_position(label: str | int, classes: Sequence[str]) -> int:
    """Find the class that a payload names.

    Args:
        label: A class's name or its position.
        classes: All names, in the order of the logits.

    Returns:
        Its position.

    Raises:
        InvalidQuery: There is no such class.
    """
    if isinstance(label, int) and label < len(classes):
        return label
    if isinstance(label, str) and label in classes:
        return list(classes).index(label)
    some = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    raise InvalidQuery(
        f"expected label to be one of the {len(classes)} classes ({some}) or a position below "
        f"{len(classes)}, got another {type(label).__name__}"
    )


def as_input(numbers: object, like: Tensor, name: str, *, flat: bool = False) -> Tensor:
    """Turn validated (nested) lists into a tensor like the training set's inputs.

    Args:
        numbers: Lists of finite numbers.
        like: A training input: gives shape and type.
        name: Name of the payload's field, for messages.
        flat: Also take all numbers in one list, and leave out axes of size 1.

    Returns:
        A tensor of `like`'s shape and type.

    Raises:
        InvalidQuery: Another shape, ragged lists, or numbers too large for the type.
    """
    expected = list(like.shape)
    try:
        values = torch.tensor(numbers, dtype=torch.float64)
    except ValueError:
        raise InvalidQuery(f"expected {name} of shape {expected}, got lists of different lengths") from None
    got = list(values.shape)
    squeezed = [size for size in expected if size != 1]
    fits = got == expected or (flat and (got == [like.numel()] or got == squeezed))
    if not fits:
        raise InvalidQuery(f"expected {name} of shape {expected}, got {got}")
    result = values.to(like.dtype).reshape(like.shape)
    if not torch.isfinite(result).all():
        raise InvalidQuery(f"expected {name} of numbers that {like.dtype} can hold, got a larger one")
    return result
