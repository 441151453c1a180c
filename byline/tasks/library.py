"""The library transformers, imported where it is needed."""

from types import ModuleType

from byline.errors import InvalidTask


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
