"""A Hugging Face sequence classifier from a local folder: which texts made it say this class."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from byline.api.example import Example
from byline.errors import InvalidQuery, InvalidTask
from byline.task import Batch, Item, ParsedQuery, Prediction, QueryInterface, Task
from byline.tasks.classification import (
    categorical_outputs,
    device_of,
    logits_of,
    most_probable,
    objectives,
    require_classes,
)
from byline.tasks.documents import Document, document_ids, example_of
from byline.tasks.payloads import class_position, labeled_text_payload
from byline.tasks.pretrained import LocalModel
from byline.tasks.token_objectives import mean_hidden_state
from byline.tasks.tokenizer import REPAIR_EMBEDDING, Tokens, beyond_embedding, require_fit


def sequence_classifier(
    name: str,
    local: LocalModel,
    documents: Sequence[Document],
    *,
    classes: Sequence[str] | None = None,
) -> Task:
    """Declare a classifier of texts.

    Training texts that are longer than the context are cut to it, as they were in training. Queries
    that are longer are refused. Queries are `{"text": ..., "label": optional}`.

    Args:
        name: Name of the Task.
        local: The folder, the checkpoints, the context.
        documents: The training set, in a fixed order. Each one's `label` names its class.
        classes: Names in the order of the logits. None takes the configuration's `id2label`.

    Returns:
        The task, with the targets `margin` (log p/(1-p) of the label) and `logit` (the label's).

    Raises:
        InvalidTask: The folder, a document or the class names do not fit.
    """
    config = local.config()
    factory = local.factory(config, "AutoModelForSequenceClassification")
    names = [config.id2label[i] for i in range(config.num_labels)] if classes is None else list(classes)
    require_classes(names)
    context = local.limit(config)
    tokens = Tokens(local.folders.tokenizer, start_token=local.start_token)
    size = local.embedding(config)
    train_set = LabeledTexts(documents, tokens, context, names, size)
    pad = tokens.pad if config.pad_token_id is None else config.pad_token_id
    config.pad_token_id = pad  # decoders find the last token by it
    loss, targets = objectives(_logits, lambda batch: batch["labels"])
    queries = _LabeledQueries(tokens, context, names, size)
    return Task(
        name=name,
        model=factory,
        checkpoints=local.weights(),
        train_set=train_set,
        describe=train_set.describe,
        collate=collate_labeled(pad),
        loss=loss,
        targets=targets,
        layers=local.layers,
        query=QueryInterface(
            payload=labeled_text_payload(context),
            parse=queries.parse,
            predict=queries.predict,
            document=queries.document,
        ),
        outputs=categorical_outputs(
            _logits, lambda batch: batch["labels"], lambda batch, labels: {**batch, "labels": labels}
        ),
        representation=mean_hidden_state,
        text=train_set.text,
        label=lambda item: names[int(item["labels"])],
    )


class LabeledTexts:
    """The training set: item `i` is `{"input_ids": [T], "labels": []}`, unpadded."""

    def __init__(
        self,
        documents: Sequence[Document],
        tokens: Tokens,
        context: int,
        classes: Sequence[str],
        embedding: int | None = None,
    ) -> None:
        """Check the documents.

        Args:
            documents: Each with a label.
            tokens: The tokenizer.
            context: Most tokens of a text; longer texts are cut.
            classes: Names in the order of the logits.
            embedding: Rows of the model's embedding. None is not known.

        Raises:
            InvalidTask: An id occurs twice, or a label names no class.
        """
        self._embedding = embedding
        self._ids = document_ids(documents, [(d.text, d.label) for d in documents])
        unknown = [i for i, d in enumerate(documents) if d.label not in classes]
        if unknown:
            raise InvalidTask(
                f"expected every document's label to be one of the {len(classes)} classes, "
                f"got {len(unknown)} that are not, the first at position {unknown[0]}"
            )
        self._documents, self._tokens, self._context = documents, tokens, context
        self._labels = [list(classes).index(d.label or "") for d in documents]

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        tokens = self._tokens.with_special(self._documents[row].text, self._context)
        fault = beyond_embedding(tokens, self._embedding)
        if fault is not None:
            raise InvalidTask(f"{fault}: {REPAIR_EMBEDDING}")
        return {"input_ids": torch.tensor(tokens), "labels": torch.tensor(self._labels[row])}

    def describe(self, row: int) -> Example:
        """Make `Task.describe`."""
        return example_of(self._documents[row], self._ids[row], self._documents[row].text)

    def text(self, item: dict[str, Tensor]) -> str:
        """Make `Task.text`."""
        return self._tokens.decode(item["input_ids"].tolist())


def collate_labeled(pad_token: int) -> Callable[[Sequence[dict[str, Tensor]]], dict[str, Tensor]]:
    """Make `Task.collate`: texts padded on the right, with their mask and labels."""

    def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        ids = [item["input_ids"] for item in items]
        return {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_token),
            "attention_mask": pad_sequence([torch.ones_like(i) for i in ids], batch_first=True),
            "labels": torch.stack([item["labels"] for item in items]),
        }

    return collate


class _LabeledQueries:
    def __init__(self, tokens: Tokens, context: int, classes: Sequence[str], embedding: int | None) -> None:
        self._tokens, self._context, self._classes = tokens, context, classes
        self._embedding = embedding

    def parse(self, query: Any) -> ParsedQuery:
        ids = self._tokens.with_special(query.text)
        require_fit("text", len(ids), self._context)
        fault = beyond_embedding(ids, self._embedding)
        if fault is not None:
            raise InvalidQuery(f"{fault}: {REPAIR_EMBEDDING}")
        label = -1 if query.label is None else class_position(query.label, self._classes)
        item = {"input_ids": torch.tensor(ids), "labels": torch.tensor(label)}
        return ParsedQuery(item=item, complete=query.label is not None)

    def document(self, document: Document) -> list[Item]:
        """Take a document as training does, cut to the context."""
        try:
            return [LabeledTexts([document], self._tokens, self._context, self._classes, self._embedding)[0]]
        except InvalidTask as error:
            raise InvalidQuery(str(error)) from error

    def predict(self, model: nn.Module, item: Item) -> Prediction:
        ids = item["input_ids"][None].to(device_of(model))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with torch.no_grad():
            logits_NC = _logits(model, batch)
        label, shown = most_probable(logits_NC[0], self._classes)
        return Prediction(item={**item, "labels": torch.tensor(label)}, output=shown)


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return logits_of(model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]))
