"""Build an index from Python, without a build file: of a Task in memory, or of one that a file declares."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from byline.api.blend import Blend
from byline.api.validation import describe_errors, one_error
from byline.declarations import kind
from byline.errors import InvalidInput, InvalidRecipe, InvalidTask
from byline.groups import GroupOptions
from byline.index.layout import StorageOptions
from byline.loading.memory import task_in_memory
from byline.loading.task_file import LoadedTask, load_task
from byline.paths import local_path
from byline.recipes import Recipe
from byline.recipes import recipe as named_recipe
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.config import BuildSection, BuildSettings, IndexSection
from byline_indexer.progress import Observer


@one_error(InvalidInput)
class BuildOptions(BuildSection):
    """Options of a build. Every field has a default."""

    storage: StorageOptions = StorageOptions()
    """How vectors are stored and searched."""
    groups: GroupOptions | None = None
    """Puts training points into groups: one row of the index for each group. None keeps one row for each point."""
    blend: Blend | None = None
    """Baseline and weight of the index's `blend` rankings. No stored vector depends on it. None offers no blend."""
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Seed of the random projection, the PCA, the dropout masks and the groups. None keeps the seeds of the recipe, of
    `groups` and of `storage`."""
    force: bool = False
    """Build again although the version is published."""


def build_index(
    task: Task | str,
    recipe: Recipe | str,
    path: Path | str,
    options: BuildOptions | None = None,
    observer: Observer | None = None,
) -> Path:
    """Build an index, finish an interrupted build, or find the version that an equal build published.

    A Task in memory is identified by its declarations, its weights and its training points: the same call finds the
    published version, and a changed loss, weight or point makes a new version.

    Args:
        task: The Task, or where it is declared: `file.py:function` or `package.module:function`.
        recipe: The method: a name of `byline.recipes.RECIPES`, or a `Recipe`.
        path: The index directory. Versions lie in it side by side.
        options: Batches, workers, device, storage, groups and seed.
        observer: Receives progress and messages.

    Returns:
        The folder of the published version.

    Raises:
        InvalidInput: An option is wrong, or a Task in memory is to be built by several workers.
        InvalidRecipe: There is no such recipe.
        InvalidTask: The Task, its weights or its training set is wrong.
        UnsupportedModel: Its gradients cannot be taken example by example.
        BuildFailed: A unit failed. Finished units are kept.
        CorruptIndex: The version is published and damaged. Pass `force=True` to build it again.
    """
    _require_declared(task, recipe, options)
    options = options or BuildOptions()
    _require_folder(local_path(path, "path"))
    loaded = task_in_memory(task) if isinstance(task, Task) else load_task(task)
    settings = _settings(loaded, named_recipe(recipe) if isinstance(recipe, str) else recipe, path, options)
    return build(settings, observer, force=options.force, loaded=loaded).path


def _require_declared(task: object, recipe: object, options: object) -> None:
    """Refuse what is often passed in place of a Task, a recipe or options; the message says how to make one."""
    if not isinstance(task, Task | str):
        raise InvalidTask(
            f"expected a byline.Task, or 'file.py:function' that returns one, got {kind(task)}: "
            f"byline.tasks.from_model(model, train_set, loss=...) makes a Task of a model"
        )
    if not isinstance(recipe, Recipe | str):
        raise InvalidRecipe(
            f"expected the name of a recipe, or what byline.recipe(name, ...) returns, got {kind(recipe)}"
        )
    if not isinstance(options, BuildOptions | None):
        raise InvalidInput(
            f"expected options to be a byline.BuildOptions, got {kind(options)}: pass "
            f"byline.BuildOptions(batch_rows=32, ...)"
        )


def _require_folder(path: Path) -> None:
    """Refuse a path that is a file, or lies in one."""
    there = next((each for each in (path, *path.absolute().parents) if each.exists()), path)
    if there.exists() and not there.is_dir():
        raise InvalidInput(f"expected path to be a folder for the index, got a file, {there}: choose another")


def _settings(loaded: LoadedTask, recipe: Recipe, path: Path | str, options: BuildOptions) -> BuildSettings:
    groups, storage = options.groups, options.storage
    if options.seed is not None:
        recipe, storage = seeded(recipe, options.seed), storage.model_copy(update={"seed": options.seed})
        groups = groups and groups.model_copy(update={"seed": options.seed})
    own = {name: getattr(options, name) for name in BuildSection.model_fields}
    try:
        return BuildSettings(
            task=loaded.reference,
            recipe=recipe,
            index=IndexSection(path=Path(path).expanduser().absolute(), **storage.model_dump()),
            groups=groups,
            blend=options.blend,
            build=BuildSection(**own),
        )
    except ValidationError as error:
        raise InvalidInput(describe_errors(error, BuildSettings)) from error


def seeded(recipe: Recipe, seed: int) -> Recipe:
    """Replace every seed of a recipe.

    Args:
        recipe: The method.
        seed: Seed of its projection, its PCA and its masks, where it has such.

    Returns:
        The same method with other random numbers.
    """
    changes: dict[str, Any] = {}
    for name in ("projection", "pca"):
        part = getattr(recipe, name)
        if "seed" in type(part).model_fields if part is not None else False:
            changes[name] = part.model_copy(update={"seed": seed})
    if recipe.members.masks or recipe.members.forward_masks:
        changes["members"] = recipe.members.model_copy(update={"mask_seed": seed})
    return recipe.model_copy(update=changes)
