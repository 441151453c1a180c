"""The tiny language model of the tests of Tasks."""

from tests.byline.tasks.conftest import documents, lm_folder, tokenizer_folder

__all__ = ["documents", "lm_folder", "tokenizer_folder"]
