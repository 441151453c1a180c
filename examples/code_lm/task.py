"""What Byline must know about the demo's language model: all of it."""

from pathlib import Path

from pydantic import TypeAdapter

from byline.task import Task
from byline.tasks import Document, Generation, LocalModel, causal_language_model

SHORTEST = 32
"""Tokens of a file's last chunk; what is left of a file is dropped where it is shorter."""
FOLDER = Path(__file__).resolve().parents[2] / ".demo"


def task(folder: Path = FOLDER) -> Task:
    """Declare the model that `python -m examples.demo` trained, and the files it was trained on.

    Args:
        folder: Holds the tokenizer, the configuration, the checkpoints and the documents.

    Returns:
        The task.
    """
    checkpoints = tuple(sorted(folder.glob("seed-*.safetensors")))
    local = LocalModel(folder=folder, checkpoints=checkpoints, shortest=SHORTEST)
    documents = TypeAdapter(list[Document]).validate_json((folder / "train.json").read_bytes())
    return causal_language_model("code-lm", local, documents, Generation(tokens=8))
