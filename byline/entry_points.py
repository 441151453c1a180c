"""The functions of the public surface: build an index, open one, or score a training set without one."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from byline.attribution.attributor import Attributor
from byline.attribution.score_matrix import require_batch
from byline.declarations import kind
from byline.errors import InvalidTask
from byline.index.layout import StorageOptions
from byline.paths import local_path
from byline.recipes import Recipe
from byline.task import Task
from byline.tasks.classification import dtype_of
from byline.tasks.criteria import Loss
from byline.tasks.model_task import from_model
from byline.tasks.points import Points, as_items, require_same_form

if TYPE_CHECKING:
    from byline_indexer.build.index import BuildOptions


def build(
    task: Task | str,
    recipe: Recipe | str,
    path: Path | str,
    options: "BuildOptions | None" = None,
    *,
    progress: bool = True,
) -> Attributor:
    """Build an index of a training set, and open it.

    An interrupted build goes on where it stopped. A finished one is found again, and nothing is computed.

    Args:
        task: The Task: an object, `"file.py:function"` or `"package.module:function"`.
        recipe: The method: a name of `byline.RECIPES`, or what `byline.recipe` returns.
        path: The index directory. Versions lie in it side by side.
        options: Batch size, processes, device, groups and storage.
        progress: Whether a bar is shown on the standard error stream.

    Returns:
        The opened index.

    Raises:
        InvalidTask: The Task, its weights or its training set is wrong.
        InvalidInput: The path or the options are wrong.
        InvalidRecipe: There is no such recipe.
        UnsupportedModel: The model's gradients cannot be taken example by example.
        BuildFailed: A unit of work failed. Finished units are kept.
    """
    from byline_indexer.build.index import build_index
    from byline_indexer.cli.progress_bar import bar

    if progress:
        with bar() as observer:
            version = build_index(task, recipe, path, options, observer)
    else:
        version = build_index(task, recipe, path, options)
    return Attributor.open(version, verify=False, task=task if isinstance(task, Task) else None)


def open(  # noqa: A001 - as gzip.open: it is called byline.open
    path: Path | str, *, task: Task | None = None, verify: bool = True
) -> Attributor:
    """Open an index.

    Args:
        path: An index directory, or one version of it.
        task: The Task, for an index that was built from an object. None loads the Task that the index names. An index
            of a Task in memory answers gradients and features without it.
        verify: Whether every file is compared with its checksum, and a Task in memory with its digest.

    Returns:
        The opened index.

    Raises:
        NotFound: There is no index at `path`.
        InvalidInput: `path` is no path, or `task` is no Task.
        UnusableIndex: Its files are damaged, or the Task changed since the build.
    """
    if not isinstance(task, Task | None):
        raise InvalidTask(
            f"expected task to be a byline.Task, got {kind(task)}: pass the Task that the index was built from"
        )
    return Attributor.open(local_path(path, "path"), verify=verify, task=task)


def attribute(
    model: nn.Module,
    train_set: Points,
    queries: Points,
    *,
    loss: Loss,
    recipe: Recipe | str = "ekfac_pca",
    batch: int = 32,
) -> NDArray[np.float32]:
    """Score a training set for queries, in one call: no Task, no index, no file that stays.

    Args:
        model: The model with its trained weights.
        train_set: The data that it was trained on: a data set, or inputs [N, ...] and labels [N, ...], as tensors or NumPy
            arrays.
        queries: What is attributed, in the same form: Q items with their labels.
        loss: How the model was trained: `"cross_entropy"`, `"mse"`, a loss of torch, or
            `(model, batch) -> losses_N`; see `byline.tasks.from_model`.
        recipe: The method: a name of `byline.RECIPES`, or what `byline.recipe` returns.
        batch: Items that are differentiated together.

    Returns:
        float32 [Q, N]: positive where training on the point lowered the query's loss.

    Raises:
        InvalidTask: The model, the loss or a data set has another form.
        InvalidInput: `batch` is no number of items.
        InvalidRecipe: There is no such recipe.
        UnsupportedModel: The model's gradients cannot be taken example by example.
    """
    from byline_indexer.build.index import BuildOptions

    require_batch(batch)
    task = from_model(model, train_set, loss=loss)
    asked = as_items(queries, "queries", dtype_of(model))
    require_same_form(asked, task.train_set, "queries")
    options = BuildOptions(
        batch_rows=batch,
        block_rows=batch * max(1, 256 // batch),
        storage=StorageOptions(dtype="fp32"),  # half precision would lose gradients of points that fit well
    )
    with tempfile.TemporaryDirectory(prefix="byline-") as folder:
        index = build(task, recipe, folder, options, progress=False)
        return index.item_scores(asked, batch=batch)
