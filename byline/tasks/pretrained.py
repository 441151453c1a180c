"""Hugging Face models from a local folder, as `save_pretrained` writes it. No downloads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from byline.errors import InputTooLarge, InvalidQuery, InvalidTask
from byline.models.fine_tunes import with_adapter
from byline.models.weight_files import ADAPTER_FILES, IN_FOLDERS, weights_file
from byline.paths import TaskPath
from byline.task import Checkpoint, LayerSelection
from byline.tasks.documents import Encode
from byline.tasks.model_folders import ModelFolders, find_folders
from byline.tasks.trainer_folders import RunFacts, run_facts

Head = Literal["AutoModelForCausalLM", "AutoModelForSequenceClassification"]


class LocalModel(BaseModel):
    """A model in local folders: `config.json`, a tokenizer, and weights or an adapter beside them or elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    folder: TaskPath | None = None
    """Holds `config.json`, the weights and the tokenizer's files. Also an output folder of Hugging Face's Trainer that has
    `checkpoint-*` folders only, which become the checkpoints, or an adapter's whose settings name a local base model. A
    relative path is relative to the Task's file."""
    adapter: TaskPath | None = None
    """Folder of a fine-tuned adapter (LoRA and others of peft), or of the Trainer's run of one. Its parameters are
    attributed, and `folder` holds the weights below it. Without `folder`, the base model that the adapter's settings
    name."""
    checkpoints: tuple[TaskPath, ...] = ()
    """Files or folders as `Checkpoint.weights` takes them, whole or in shards, or folders of one adapter's checkpoints.
    Empty takes those of `adapter` or `folder`. Relative paths are relative to the Task's file. Folders of Hugging Face's
    Trainer (`checkpoint-500`) bring their steps and learning rate, and Adam's moments from
    `optimizer_state.safetensors`."""
    context: int | None = Field(default=None, ge=2, le=2**20)
    """Most tokens of a chunk and of a query. None takes the model's own limit."""
    start_token: bool = False
    """Begin every text with the tokenizer's start token, as Llama's kind is trained, then the first
    word is predicted too."""
    shortest: int = Field(default=2, ge=2)
    """Drops the rest at the end of a longer document where it has fewer tokens. Losses are means,
    so the few tokens of a short rest weigh as much as a whole chunk's: set it as in training."""
    layers: LayerSelection = LayerSelection()
    """Attributed modules."""

    @property
    def folders(self) -> ModelFolders:
        """Find the configuration, the tokenizer and the checkpoints.

        Raises:
            InvalidTask: One is not there.
        """
        return find_folders(self.folder, self.adapter, self.checkpoints)

    def weights(self) -> list[Checkpoint]:
        """List the checkpoints.

        Raises:
            InvalidTask: A file is not there.
        """
        folders = self.folders
        base = weights_file(folders.config) if folders.adapter is not None else None
        return [_checkpoint(path, base) for path in folders.checkpoints]

    def config(self) -> Any:
        """Read `config.json`.

        Raises:
            InvalidTask: The folder has none, or one of a model that this release of transformers does not know.
        """
        folder = self.folders.config
        if not (folder / "config.json").is_file():
            raise InvalidTask(
                f"expected a folder written by save_pretrained at {folder}, found no config.json"
            )
        try:
            return transformers().AutoConfig.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidTask(
                f"expected {folder}/config.json to be of a model that this release of transformers knows, got "
                f"another ({type(error).__name__}): save the model again, or install the release that wrote it"
            ) from error

    def factory(self, config: Any, head: Head) -> Callable[[], nn.Module]:
        """Make `Task.model`: the architecture from the configuration alone, in evaluation mode and in float32.

        Weights of any precision are loaded in float32: gradients of a model in half precision would be its rounding.
        """
        auto, adapter = getattr(transformers(), head), self.folders.adapter

        def build() -> nn.Module:
            # The weights are about to be replaced: leave the caller's random state as it was.
            with torch.random.fork_rng(devices=[]):
                model: nn.Module = auto.from_config(config, dtype=torch.float32, attn_implementation="eager")
                if adapter is not None:
                    model = with_adapter(model, adapter)
            return model.eval()

        return build

    def limit(self, config: Any) -> int:
        """Tell how many tokens the model is shown at most.

        Raises:
            InvalidTask: `context` is above the model's own limit, or there is neither.
        """
        own: Any = getattr(config, "max_position_embeddings", None)
        if self.context is None and own is None:
            raise InvalidTask(
                "expected a context: the model's configuration does not say how many tokens it sees"
            )
        if self.context is not None and own is not None and self.context > own:
            raise InvalidTask(
                f"expected a context of at most {own} tokens (the model's own), got {self.context}"
            )
        return self.context or int(own)


def _checkpoint(path: Path, base: Path | None) -> Checkpoint:
    """Declare a checkpoint: an adapter's folder above a base, or a file or folder of a whole model's weights."""
    file = weights_file(path) if base is None else path / ADAPTER_FILES[0]
    in_folder = file.name in (*IN_FOLDERS, *ADAPTER_FILES)
    facts = run_facts(file.parent) if in_folder else RunFacts()
    beside = path.parent.name if path.name in IN_FOLDERS else path.stem
    return Checkpoint(
        weights=file if base is None else path,
        base=base,
        name=path.name if path.is_dir() else beside,
        learning_rate=facts.learning_rate,
        steps=facts.steps,
        optimizer_state=facts.optimizer_state,
    )


class Tokens:
    """A local tokenizer: texts to tokens with their places, and back."""

    def __init__(self, folder: Path, *, start_token: bool = False) -> None:
        """Load it.

        Args:
            folder: Holds the tokenizer's files.
            start_token: Begin every text with its start token.

        Raises:
            InvalidTask: There is no fast tokenizer, or it has no start token.
        """
        library = transformers()
        try:
            self._tokenizer: Any = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InvalidTask(f"expected a tokenizer in {folder}: {type(error).__name__}") from error
        if not self._tokenizer.is_fast:
            raise InvalidTask(
                "expected a fast tokenizer (tokenizer.json), which knows where each token was cut"
            )
        self._tokenizer.model_max_length = 10**9  # lengths are checked here, with an error and no warning
        self.end: int | None = self._tokenizer.eos_token_id
        self.pad: int = next((t for t in (self._tokenizer.pad_token_id, self.end) if t is not None), 0)
        start = self._tokenizer.bos_token_id
        if start_token and start is None:
            raise InvalidTask("expected a tokenizer with a start token (bos_token), got one without")
        self.head: tuple[int, ...] = (start,) if start_token else ()

    @property
    def encode(self) -> Encode:
        """`text -> (tokens, places)`, without special tokens."""
        return self._encode

    def with_special(self, text: str, limit: int | None = None) -> list[int]:
        """Encode with the special tokens that the tokenizer puts around a text.

        Args:
            text: Any.
            limit: Most tokens to keep. None keeps all.

        Returns:
            Tokens.
        """
        encoding = self._tokenizer(text, truncation=limit is not None, max_length=limit)
        tokens: list[int] = encoding["input_ids"]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text, without special tokens."""
        text: str = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoding["input_ids"], encoding["offset_mapping"]


def require_fit(name: str, tokens: int, limit: int) -> None:
    """Refuse a query without tokens, or with more than the model can see.

    Raises:
        InvalidQuery: There is no token.
        InputTooLarge: There are more than the limit.
    """
    if tokens == 0:
        raise InvalidQuery(f"expected {name} of at least one token, got none")
    if tokens > limit:
        raise InputTooLarge(f"expected {name} of at most {limit} tokens, got {tokens}: shorten it")


def transformers() -> ModuleType:
    """Import the library, which takes seconds: only where it is needed.

    Raises:
        InvalidTask: It is not installed.
    """
    try:
        import transformers as library
    except ImportError as error:
        raise InvalidTask("Hugging Face tasks need transformers: pip install 'byline[hf]'") from error
    module: ModuleType = library
    return module
