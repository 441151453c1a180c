"""The tiny language model, for units of its fine-tunes."""

from tests.byline.tasks.conftest import documents, lm_folder, tokenizer_folder

__all__ = ["documents", "lm_folder", "tokenizer_folder"]
