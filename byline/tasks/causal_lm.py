"""A Hugging Face causal language model: which documents made it write this."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from byline.errors import InvalidQuery, InvalidTask
from byline.task import Item, ParsedQuery, Positions, Prediction, QueryInterface, Task
from byline.tasks.chats import chat_fault
from byline.tasks.chunks import ChunkOptions, Chunks
from byline.tasks.classification import device_of
from byline.tasks.columns import Columns
from byline.tasks.documents import IGNORED, Document
from byline.tasks.loaded_models import LoadedModel, language_model
from byline.tasks.payloads import TARGETED, CausalTextQuery, ChatQuery, causal_text_payload
from byline.tasks.pretrained import LocalModel
from byline.tasks.rows import documents_of
from byline.tasks.token_objectives import (
    CONTRAST,
    POSITION_VALUES,
    TOKEN_OUTPUTS,
    collate_causal,
    likelihood,
    mean_hidden_state,
    mean_token_loss,
    position_losses,
    token_margin,
)
from byline.tasks.token_texts import item_texts, target_tokens, token_places, token_texts
from byline.tasks.tokenizer import REPAIR_EMBEDDING, Tokens, beyond_embedding, require_fit


class Generation(BaseModel):
    """Options that generate a missing completion. Deterministic: a seed, and no state between calls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=16, ge=1, le=4096)
    """Most tokens to generate; fewer where the context is full or the text ends."""
    temperature: float = Field(default=0.0, ge=0, le=10)
    """Sampling temperature. 0 takes the most probable token."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the draws."""


@torch.no_grad()
def generate(
    model: nn.Module, prompt_T: Tensor, limit: int, options: Generation, stop: int | None
) -> tuple[Tensor, float]:
    """Continue a prompt.

    The loop is spelled out, as the library's own reads options from the model's files and draws
    from the global random state.

    Args:
        model: A Hugging Face causal language model, in evaluation mode.
        prompt_T: Tokens, at least one.
        limit: Tokens that prompt and completion may have together; above the prompt's length.
        options: Length, temperature, seed.
        stop: The token that ends a text. None goes on to the limit.

    Returns:
        completion_T (on the CPU) and its log probability at temperature 1.
    """
    device = device_of(model)
    generator = torch.Generator().manual_seed(options.seed)
    tokens: list[int] = prompt_T.tolist()
    first, log_probability = len(tokens), 0.0
    while len(tokens) < min(limit, first + options.tokens):
        output: Any = model(input_ids=torch.tensor([tokens], device=device), use_cache=False)
        log_p_V = output.logits[0, -1].to("cpu", torch.float64).log_softmax(0)
        token = _choose(log_p_V, options.temperature, generator)
        tokens.append(token)
        log_probability += float(log_p_V[token])
        if token == stop:
            break
    return torch.tensor(tokens[first:]), log_probability


def _choose(log_p_V: Tensor, temperature: float, generator: torch.Generator) -> int:
    if math.isclose(temperature, 0.0):
        return int(log_p_V.argmax())
    return int(torch.multinomial((log_p_V / temperature).softmax(0), 1, generator=generator))


def causal_language_model(
    name: str,
    model: LocalModel | LoadedModel | nn.Module | Path | str,
    data: Any,
    generation: Generation = Generation(),  # noqa: B008 - frozen
    *,
    tokenizer: Any = None,
    columns: Columns | None = None,
) -> Task:
    """Declare a causal language model.

    Texts are cut into chunks of `context` tokens, one row each. A completion or a chat is one row, whose loss is that of
    the completion given its prompt, or of the assistant's turns. A query is `{"text": ..., "completion": optional}`: its
    loss is that of the completion given the text. With a chat template it is also `{"messages": [...]}`. Losses are means
    over target tokens. A query with a completion may name the attributed tokens (`target_tokens`, `target_text`), or
    another completion: `rather_than` attributes the target of the completion minus that of the other one.

    Args:
        name: Name of the Task.
        model: A model of transformers or peft in memory, or the folder of one as `save_pretrained` or the Trainer leaves
            it. `LocalModel` and `LoadedModel` add the context and other options.
        data: The training set, in a fixed order: a `datasets.Dataset`, the path of a JSONL, JSON, Parquet, CSV or text
            file, or a list of Documents, of dicts or of texts.
        generation: Options that generate a missing completion: greedily by default.
        tokenizer: Of a model in memory.
        columns: Names of the data set's columns. None takes the usual ones.

    Returns:
        The task, with the targets `margin` (log p/(1-p) of the mean token probability) and
        `likelihood` (log p of the whole completion).

    Raises:
        InvalidTask: The model, a column or a row does not fit.
    """
    chosen = language_model(model, tokenizer)
    config = chosen.config()
    factory = chosen.factory(config, "AutoModelForCausalLM")
    context, tokens = chosen.limit(config), chosen.tokens()
    size = chosen.embedding(config)
    cut = ChunkOptions(context, chosen.shortest, chosen.too_long, size)
    chunks = Chunks(documents_of(data, columns), tokens, cut)
    queries = TextQueries(tokens, cut, generation)
    return Task(
        name=name,
        model=factory,
        checkpoints=chosen.weights(),
        train_set=chunks,
        describe=chunks.describe,
        collate=partial(collate_causal, pad_token=tokens.pad if size is None else min(tokens.pad, size - 1)),
        loss=mean_token_loss,
        targets={"margin": token_margin, "likelihood": likelihood},
        layers=chosen.layers,
        query=QueryInterface(
            payload=causal_text_payload(context, chat=tokens.has_chat),
            parse=queries.parse,
            predict=queries.predict,
            train=queries.train,
            document=queries.document,
        ),
        outputs=TOKEN_OUTPUTS,
        positions=Positions(
            losses=position_losses, values=POSITION_VALUES, texts=partial(item_texts, tokens.decode)
        ),
        representation=mean_hidden_state,
        text=lambda item: tokens.decode(item["input_ids"].tolist()),
    )


class TextQueries:
    """Queries of a text: parsed into items, and completed."""

    def __init__(self, tokens: Tokens, cut: ChunkOptions, generation: Generation) -> None:
        self._tokens = tokens
        self._cut, self._context = cut, cut.context
        self._generation = generation

    def parse(self, query: CausalTextQuery) -> ParsedQuery:
        """Encode text and completion apart, so that the completion begins where the text ends.

        Raises:
            InvalidQuery: The text or the completion has no token, or nothing in it is predicted.
            InputTooLarge: They do not fit the context.
        """
        chat = query if isinstance(query, ChatQuery) and query.messages else None
        parsed = self._parse_text(query) if chat is None else self._parse_chat(chat)
        parts = [parsed.item, *([parsed.item[CONTRAST]] if CONTRAST in parsed.item else [])]
        fault = beyond_embedding([int(part["input_ids"].max()) for part in parts], self._cut.embedding)
        if fault is not None:
            raise InvalidQuery(f"{fault}: {REPAIR_EMBEDDING}")
        return parsed

    def _parse_text(self, query: CausalTextQuery) -> ParsedQuery:
        prompt = [*self._tokens.head, *self._tokens.encode(query.text)[0]]
        if query.attribute == "text":
            require_fit("text", len(prompt), self._context)
            if len(prompt) < 2:
                raise InvalidQuery("expected text of at least 2 tokens where the text is attributed, got 1")
            return ParsedQuery(item=_item(prompt, 0), complete=True)
        if query.completion is None:
            require_fit("text (one more is generated)", len(prompt), self._context - 1)
            return ParsedQuery(item=_item(prompt, len(prompt)), complete=False)
        item, places = self._completed("completion", prompt, query.completion)
        if query.rather_than is not None:
            item[CONTRAST], _ = self._completed("rather_than", prompt, query.rather_than)
        target = target_tokens(query, places)
        item["labels"][len(prompt) : len(prompt) + target.start] = IGNORED
        item["labels"][len(prompt) + target.stop :] = IGNORED
        return ParsedQuery(item=item, complete=True)

    def _completed(
        self, name: str, prompt: list[int], text: str
    ) -> tuple[dict[str, Any], list[tuple[int, int]]]:
        """Make the item of a prompt with a completion; also the places of the completion's tokens."""
        completion, places = self._tokens.encode(text)
        require_fit(name, len(completion), self._context - 1)
        require_fit(f"text and {name}", len(prompt) + len(completion), self._context)
        return _item([*prompt, *completion], len(prompt)), places

    def train(self, query: CausalTextQuery) -> list[Item]:
        """Cut a text into chunks, as training does, or take one row of a text with its completion.

        Raises:
            InvalidQuery: Nothing in it is predicted, text and completion do not fit the context, or it names targets.
        """
        named = next((n for n in TARGETED if getattr(query, n) is not None), None)
        if named is not None:
            raise InvalidQuery(
                f"expected a candidate without {named}, as training takes the loss of a whole row: leave it out"
            )
        return self.document(_document(query))

    def document(self, document: Document) -> list[Item]:
        """Cut a document into chunks, as training does.

        Raises:
            InvalidQuery: It cannot be trained on, or is dropped since it does not fit the context.
        """
        try:
            chunks = Chunks([document], self._tokens, self._cut)
        except InvalidTask as error:
            raise InvalidQuery(str(error)) from error
        return [chunks[place] for place in range(len(chunks))]

    def _parse_chat(self, query: ChatQuery) -> ParsedQuery:
        """Attribute the assistant's turns behind a prompt, its last turn, or all; generate a missing one."""
        turns = [message.turn for message in query.messages]
        if turns[-1]["role"] != "assistant" and query.attribute == "completion":
            if query.given is not None:
                raise InvalidQuery("expected a chat that the assistant ends where given is set, got another")
            prompt = self._tokens.chat.prompt(turns, query.tools)
            require_fit("messages (one more token is generated)", len(prompt), self._context - 1)
            return ParsedQuery(item=_item(prompt, len(prompt)), complete=False)
        item = self._chat_item("messages", turns, query)
        if query.target_text is not None or query.target_tokens is not None:
            self._keep_targets(query, item)
        if query.rather_than is not None:
            other = {**turns[-1], "content": query.rather_than}
            item[CONTRAST] = self._chat_item("messages with rather_than", [*turns[:-1], other], query)
        return ParsedQuery(item=item, complete=True)

    def _chat_item(self, name: str, turns: list[dict[str, Any]], query: ChatQuery) -> dict[str, Any]:
        """Make the item of a chat, whose targets are the assistant's tokens behind the prompt."""
        fault = chat_fault(turns, query.prompt)
        if fault is not None:
            raise InvalidQuery(fault)
        tokens_T, targets_T = self._tokens.chat.encode(turns, query.prompt, query.tools)
        require_fit(name, len(tokens_T), self._context)
        if not targets_T[1:].any():
            raise InvalidQuery("expected an assistant's turn of at least one token, got none")
        input_ids = torch.from_numpy(tokens_T.astype(np.int64))
        return {
            "input_ids": input_ids,
            "labels": torch.where(torch.from_numpy(targets_T), input_ids, IGNORED),
        }

    def _keep_targets(self, query: ChatQuery, item: dict[str, Any]) -> None:
        """Keep the targets that a query names among the tokens of the last turn, which stands for the completion."""
        answer_A = (item["labels"] != IGNORED).nonzero().flatten()
        texts = token_texts(self._tokens.decode, item["input_ids"][answer_A].tolist())
        named = query.model_copy(update={"completion": "".join(texts)})
        target = target_tokens(named, token_places(texts))
        item["labels"][answer_A[: target.start]] = IGNORED
        item["labels"][answer_A[target.stop :]] = IGNORED

    def predict(self, model: nn.Module, item: Item) -> Prediction:
        """Generate the completion, and say how probable the model found it."""
        prompt_T: Tensor = item["input_ids"]
        completion_T, log_p = generate(model, prompt_T, self._context, self._generation, self._tokens.end)
        return Prediction(
            item=_item([*prompt_T.tolist(), *completion_T.tolist()], len(prompt_T)),
            output={
                "completion": self._tokens.decode(completion_T.tolist()),
                "tokens": len(completion_T),
                "probability": math.exp(log_p),
                "token_probability": math.exp(log_p / len(completion_T)),
            },
        )


def _document(query: CausalTextQuery) -> Document:
    """Take a payload as a training document."""
    if not isinstance(query, ChatQuery) or not query.messages:
        return Document(text=query.text, completion=query.completion)
    turns = [message.turn for message in query.messages]
    return Document(messages=turns, given=query.given or 0, tools=query.tools)


def _item(tokens: list[int], prompt: int) -> dict[str, Any]:
    input_ids = torch.tensor(tokens)
    labels = input_ids.clone()
    labels[:prompt] = IGNORED
    return {"input_ids": input_ids, "labels": labels}
