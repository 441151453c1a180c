"""The tiny language model of the tests of Tasks."""

from tests.byline.tasks.conftest import lm_folder, tokenizer_folder

__all__ = ["lm_folder", "tokenizer_folder"]
