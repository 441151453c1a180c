"""Read the build file: a TOML document that names a Task, a recipe and an index.

`docs/configuration.md` explains every field with an example.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from byline.api.blend import Blend
from byline.api.validation import describe_errors
from byline.errors import InvalidInput, InvalidRecipe, InvalidTask
from byline.groups import GroupOptions
from byline.index.layout import StorageOptions
from byline.models.device import Precision
from byline.paths import LocalPath, local_path
from byline.recipes import Recipe, recipe, refuse_unsummable


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IndexSection(StorageOptions):
    """`[index]`: the folder of the index, and the storage and search of its vectors."""

    path: LocalPath
    """The index directory. Versions lie in it side by side. Relative to the TOML file."""

    def storage(self) -> StorageOptions:
        """Return the options that the index writer takes."""
        return StorageOptions(**self.model_dump(exclude={"path"}))


class BuildSection(_Section):
    """`[build]`: the division of the work, and where it is computed."""

    block_rows: int = Field(default=256, ge=1)
    """Rows of one unit of work. A killed build loses at most one unit of each worker."""
    batch_rows: int = Field(default=32, ge=1)
    """Rows that are differentiated together, at most. Raise it on a GPU. Divides block_rows."""
    memory: float = Field(default=4.0, gt=0, le=1e6)
    """Gigabytes that one worker may take. Batches are as long as fit, by the shapes of the model and its items."""
    workers: int = Field(default=1, ge=1, le=1024)
    """Processes on this machine. Each holds one model. The index does not depend on their number."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of each worker's arithmetic. Recorded, because the last bits depend on it."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    """`cpu`, `cuda` or `cuda:1`. An index built on a GPU can be queried from a CPU."""
    precision: Precision = "float32"
    """`bfloat16` runs the model's own passes in mixed precision: faster on a GPU, a little less exact."""

    @property
    def memory_bytes(self) -> int:
        """Bytes that one worker may take."""
        return int(self.memory * 1e9)

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.block_rows % self.batch_rows:
            raise InvalidInput(
                f"block_rows ({self.block_rows}) must be a multiple of batch_rows ({self.batch_rows}): blocks "
                f"are whole batches"
            )
        return self


class BuildSettings(_Section):
    """Everything that decides a build besides the Task."""

    task: str | None = None
    """Reference to the Task's source. None for a Task in memory."""
    recipe: Recipe
    """Name of a recipe, and changes of its fields."""
    index: IndexSection
    groups: GroupOptions | None = None
    """`[groups]`: one row of the index for each group of training points. Without it, one for each point."""
    blend: Blend | None = None
    """`[blend]`: a baseline and its weight beside influence, for `--baseline blend`. No stored vector depends on it."""
    build: BuildSection = BuildSection()

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        if self.groups is not None:
            refuse_unsummable(self.recipe, self.groups)
            if self.blend is not None:
                raise InvalidInput(
                    "expected no [blend] beside [groups]: baselines rank training points, not groups of them"
                )
        return self

    @field_validator("recipe", mode="before")
    @classmethod
    def _from_the_table(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if not isinstance(value.get("name"), str):
                raise InvalidRecipe("expected name = '...', one of the recipes that `byline recipes` lists")
            return recipe(value["name"], **{k: v for k, v in value.items() if k != "name"})
        return value


class BuildConfig(BuildSettings):
    """A build file: everything that `byline build` takes."""

    task: str
    """`file.py:function`, relative to the TOML file, or `package.module:function`."""


def load_config(path: Path) -> BuildConfig:
    """Read a build file.

    Args:
        path: The TOML file. Relative paths in it are relative to its folder.

    Returns:
        The configuration, with absolute paths.

    Raises:
        InvalidInput: The file is missing, is not TOML, or a field is wrong. The message names the field.
    """
    local_path(path, "the build file")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"expected a build file at {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"expected a TOML document in {path}: {error}") from error
    try:
        config = BuildConfig.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(f"{path}: {describe_errors(error, BuildConfig)}") from error
    folder = path.resolve().parent
    section = config.index.model_copy(update={"path": folder / config.index.path.expanduser()})
    return config.model_copy(update={"index": section, "task": absolute_task(config.task, folder)})


def with_workers(config: BuildConfig, workers: int | None) -> BuildConfig:
    """Replace the number of worker processes. None keeps the build file's."""
    if workers is None:
        return config
    return config.model_copy(update={"build": config.build.model_copy(update={"workers": workers})})


def absolute_task(reference: str, folder: Path) -> str:
    """Make a reference to a Task's file independent of the current folder.

    Raises:
        InvalidTask: The text is not a reference.
        InvalidInput: It is a URL.
    """
    place, separator, function = reference.rpartition(":")
    if not separator or not place:
        raise InvalidTask(
            f"expected task = 'file.py:function' or 'package.module:function', got {reference!r}"
        )
    local_path(place, "task")
    return f"{(folder / place).resolve()}:{function}" if place.endswith(".py") else reference


def portable_task(reference: str, folder: Path) -> str:
    """Make a reference to a Task's file relative to the index directory: both may move together.

    Args:
        reference: `/absolute/file.py:function`, or `package.module:function`, which stays as it is.
        folder: The index directory.

    Returns:
        The reference that the manifest keeps.
    """
    place, _, function = reference.rpartition(":")
    return f"{os.path.relpath(place, folder.resolve())}:{function}" if place.endswith(".py") else reference
