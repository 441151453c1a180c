"""Hugging Face models from a local folder, as `save_pretrained` writes it. No downloads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from byline.errors import InvalidTask
from byline.models.fine_tunes import with_adapter
from byline.models.weight_files import ADAPTER_FILES, IN_FOLDERS, weights_file
from byline.paths import TaskPath
from byline.task import Checkpoint, LayerSelection
from byline.tasks.chunks import TooLong
from byline.tasks.heads import Head, require_head
from byline.tasks.library import transformers
from byline.tasks.model_folders import ModelFolders, find_folders
from byline.tasks.tokenizer import Tokens
from byline.tasks.trainer_folders import RunFacts, run_facts

_MOST = 1024
"""Tokens of a context that nobody chose: attention's memory grows with its square."""


class TextOptions(BaseModel):
    """The form in which texts reach a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    context: int | None = Field(default=None, ge=2, le=2**20)
    """Most tokens of a chunk and of a query. None takes the model's own limit, and at most 1,024."""
    start_token: bool = False
    """Begin every text with the tokenizer's start token, as Llama's kind is trained, then the first
    word is predicted too. A chat template writes its own."""
    shortest: int = Field(default=2, ge=2)
    """Drops the rest at the end of a longer document where it has fewer tokens. Losses are means,
    so the few tokens of a short rest weigh as much as a whole chunk's: set it as in training."""
    too_long: TooLong = "truncate"
    """What becomes of completions and chats that are longer than the context: `truncate` cuts their end, as TRL does,
    `drop` leaves them out, `error` refuses them."""
    layers: LayerSelection = LayerSelection()
    """Attributed modules."""

    def limit(self, config: Any) -> int:
        """Tell how many tokens the model is shown at most.

        Args:
            config: The model's.

        Raises:
            InvalidTask: `context` is above the model's own limit.
        """
        own: Any = getattr(config, "max_position_embeddings", None)
        if self.context is not None and own is not None and self.context > own:
            raise InvalidTask(
                f"expected a context of at most {own} tokens (the model's own), got {self.context}"
            )
        return self.context or min(_MOST, _MOST if own is None else int(own))


class LocalModel(TextOptions):
    """A model in local folders: `config.json`, a tokenizer, and weights or an adapter beside them or elsewhere."""

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
    Trainer (`checkpoint-500`) bring their steps, their learning rate and Adam's moments."""

    @property
    def folders(self) -> ModelFolders:
        """Find the configuration, the tokenizer and the checkpoints.

        Raises:
            InvalidTask: One is not there.
        """
        return find_folders(self.folder, self.adapter, self.checkpoints)

    def embedding(self, config: Any) -> int | None:
        """Tell how many token ids the model's embedding has rows of. None is not known."""
        size = getattr(config.get_text_config(), "vocab_size", None)
        return size if isinstance(size, int) else None

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
            InvalidTask: The folder has none, or one of a model that this release of transformers does not know, or whose
                stored weights are quantized.
        """
        folder = self.folders.config
        if not (folder / "config.json").is_file():
            raise InvalidTask(
                f"expected a folder written by save_pretrained at {folder}, found no config.json{_instead(folder)}"
            )
        try:
            config = transformers().AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise InvalidTask(
                f"expected {folder}/config.json to be of a model that this release of transformers knows, got "
                f"another ({type(error).__name__}): save the model again, install the release that wrote it, or pass a "
                f"model with code of its own in memory"
            ) from error
        if getattr(config, "quantization_config", None) is not None:
            raise InvalidTask(
                f"expected weights that are not quantized in {folder}, got a quantization_config in its settings: "
                f"load the model and pass it in memory with its tokenizer, with an adapter as a PeftModel, or pass "
                f"the folder of the original weights"
            )
        return config

    def factory(self, config: Any, head: Head) -> Callable[[], nn.Module]:
        """Make `Task.model`: the architecture from the configuration alone, in evaluation mode and in float32.

        Weights of any precision are loaded in float32: gradients of a model in half precision would be its rounding.

        Raises:
            InvalidTask: The model is of another kind.
        """
        require_head(config, head)
        auto, adapter = getattr(transformers(), head), self.folders.adapter

        def build() -> nn.Module:
            # The weights are about to be replaced: leave the caller's random state as it was.
            with torch.random.fork_rng(devices=[]):
                model: nn.Module = auto.from_config(config, dtype=torch.float32, attn_implementation="eager")
                if adapter is not None:
                    model = with_adapter(model, adapter)
            return model.eval()

        return build

    def tokens(self) -> Tokens:
        """Load the tokenizer.

        Raises:
            InvalidTask: There is no fast one.
        """
        return Tokens(self.folders.tokenizer, start_token=self.start_token)


def _instead(folder: Path) -> str:
    """Name the way out of a folder without a model that transformers reads."""
    if folder.suffix == ".gguf" or any(folder.glob("*.gguf")):
        return " but GGUF files, which cannot be trained: pass the folder that they were converted from"
    return (
        ": pass the folder that holds it, not a file" if folder.is_file() else ": pass the model's own folder"
    )


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
