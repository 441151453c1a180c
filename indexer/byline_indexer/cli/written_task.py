"""Write the Task file of `byline build --hf`: readable, and found again by every later command."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from byline.api.validation import describe_errors
from byline.errors import InvalidInput
from byline.paths import local_path
from byline.tasks.columns import Columns

TASK_FILE = "task.py"
_DOCSTRING = '"""A model and its training data, written by `byline build --hf`."""'
"""First line of a file that this command wrote."""
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceBuild:
    """The arguments of `byline build --hf`."""

    folder: Path
    """Folder of the model, or of an adapter."""
    data: Path
    """File of the training data."""
    adapter: Path | None = None
    """Folder of an adapter on top of the model."""
    columns: str | None = None
    """`field=column` pairs, with commas between them."""
    context: int | None = None
    """Most tokens of a row."""
    index: Path | None = None
    """The index directory."""

    @property
    def name(self) -> str:
        """Name of the Task: the folder's own, in letters that a Task may have."""
        own = (self.adapter or self.folder).resolve().name.lower()
        return _NOT_IN_NAMES.sub("-", own).strip("._-")[:64] or "model"

    @property
    def index_path(self) -> Path:
        """The index directory, which also holds the Task file."""
        return self.index or Path("indexes") / self.name


def write_task(build: HuggingFaceBuild, folder: Path) -> str:
    """Write the Task file.

    Args:
        build: The arguments.
        folder: The folder that the file is written into.

    Returns:
        The reference of the Task, `/folder/task.py:task`.

    Raises:
        InvalidInput: A folder or file is not there, a column is none, the index's folder is a file, an index was built
            from another Task file, or a file that this command did not write has the place.
    """
    text, path = task_text(build), folder / TASK_FILE
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"expected --index to be a folder, found a file at {folder}: choose another name")
    found = path.read_bytes() if path.is_file() else text.encode()
    if not found.startswith(_DOCSTRING.encode()):
        raise InvalidInput(
            f"expected {path} to be written by this command, found another file: choose another --index, or name the file "
            f"in a build file as task = '{TASK_FILE}:task'"
        )
    if found != text.encode() and any(folder.glob("*/manifest.json")):
        raise InvalidInput(
            f"expected {path} to be as this command writes it, since an index was built from it, found another: choose "
            f"another --index, or name the file in a build file as task = '{TASK_FILE}:task'"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return f"{path.resolve()}:task"


def task_text(build: HuggingFaceBuild) -> str:
    """Make the Task file's text.

    Raises:
        InvalidInput: A folder or file is not there, or a column is none.
    """
    for name, path in {"--hf": build.folder, "--adapter": build.adapter, "--data": build.data}.items():
        if path is not None and not local_path(path, name).exists():
            raise InvalidInput(
                f"expected {name} to name something on this machine, found nothing at {path}: Byline downloads nothing, "
                f"`hf download NAME --local-dir FOLDER` does"
            )
    columns = named_columns(build.columns)
    local = [f"folder={str(build.folder.resolve())!r}"]
    local += [] if build.adapter is None else [f"adapter={str(build.adapter.resolve())!r}"]
    local += [] if build.context is None else [f"context={build.context}"]
    given = ", ".join(
        f"{name}={value!r}" for name, value in columns.model_dump(exclude_defaults=True).items()
    )
    names = (
        f"Columns({given})"
        if given
        else "None  # the usual names: text, prompt and completion, messages, owner, ..."
    )
    imported = "Columns, LocalModel" if given else "LocalModel"
    return f"""{_DOCSTRING}

from byline.task import Task
from byline.tasks import {imported}, causal_language_model

MODEL = LocalModel({", ".join(local)})
DATA = {str(build.data.resolve())!r}
COLUMNS = {names}


def task() -> Task:
    return causal_language_model({build.name!r}, MODEL, DATA, columns=COLUMNS)
"""


def named_columns(text: str | None) -> Columns:
    """Read `text=body,owner=author,attributes=stars`.

    Args:
        text: As typed. `attributes` may occur several times.

    Raises:
        InvalidInput: It has another form, or names a field that there is none of.
    """
    fields: dict[str, str] = {}
    attributes: list[str] = []
    for pair in (text or "").split(",") if text else ():
        field, separator, column = (part.strip() for part in pair.partition("="))
        if not separator or not field or field in fields:
            raise InvalidInput(
                "expected --columns as field=column pairs with commas between them, each field once, got another form: "
                "--columns text=body,owner=author"
            )
        if field == "attributes":
            attributes.append(column)
        else:
            fields[field] = column
    try:
        return Columns(**fields, attributes=tuple(attributes))
    except ValidationError as error:
        raise InvalidInput(f"--columns: {describe_errors(error, Columns)}") from error
