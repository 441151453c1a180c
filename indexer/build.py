"""From a configuration to a published index: plan, run what is not finished, pack, publish."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue

import byline
from byline.content import content_digest
from byline.errors import BuildFailed, BylineError, CorruptIndex
from byline.groups import Members
from byline.loading import LoadedTask, load_task, tensors_digest, weights_digest
from byline.optimizer_state import load_optimizer_state
from byline.store.durable import durable_file
from byline.store.fingerprint import Fingerprint
from byline.store.layout import TaskRecord
from byline.store.publishing import point, publish
from byline.store.verification import verify
from byline.store.writer import write_index
from byline.task import Task
from byline.training_points import EVALUATION, read_items
from indexer.config import BuildConfig, IndexSection, portable_task
from indexer.executor import Executor, InProcess, Processes
from indexer.lock import exclusive
from indexer.pack import Origin, index_contents
from indexer.partition import partition
from indexer.plan import BuildPlan
from indexer.planning import make_plan
from indexer.progress import Observer, Silent
from indexer.real_queries import real_queries
from indexer.run import run_units
from indexer.survey import survey
from indexer.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build left behind."""

    path: Path
    """The version's directory."""
    fresh: bool
    """False where the version had been published before."""


def build(
    config: BuildConfig,
    observer: Observer | None = None,
    *,
    force: bool = False,
    loaded: LoadedTask | None = None,
) -> Built:
    """Build an index, or finish one that was interrupted.

    Args:
        config: The build file.
        observer: Told how it goes.
        force: Build again although the version is published.
        loaded: The Task, in place of the one that `config.task` names; goes with one worker.

    Returns:
        Where the index is.

    Raises:
        InvalidTask: The Task, its weights or its training set is wrong.
        UnsupportedModel: Its gradients cannot be taken example by example.
        BuildFailed: A unit failed; what is finished is kept.
        CorruptIndex: The version is published, and damaged.
    """
    observer = observer or Silent()
    loaded = loaded or load_task(config.task)
    plan = make_plan(config, loaded.task)
    for notice in plan.parameters.notices():
        observer.say(notice)
    origin = identify(plan, loaded, config.index, observer)
    version = config.index.path / origin.fingerprint.version
    work = config.index.path / f".build-{origin.fingerprint.version}"
    _mention_others(work, observer)
    with exclusive(work.with_name(f"{work.name}.lock")):
        fresh = force or not version.exists()
        if fresh:
            _build_version(config, replace(plan, work=work), origin, observer)
        else:
            _check_published(version, observer)
        point(config.index.path, version.name)
        shutil.rmtree(work, ignore_errors=True)
    return Built(path=version, fresh=fresh)


def _mention_others(work: Path, observer: Observer) -> None:
    """An interrupted build of other settings goes on only with those settings; until then it takes room."""
    others = sorted(path.name for path in work.parent.glob(".build-*") if path.is_dir() and path != work)
    if others:
        observer.say(
            f"unfinished builds of other settings lie in {work.parent}: {', '.join(others)}; "
            f"delete them if you will not go on with them"
        )


def _check_published(version: Path, observer: Observer) -> None:
    observer.say(f"version {version.name} is already published: verifying it")
    for finding in verify(version, observer.reach).findings:
        raise CorruptIndex(
            f"{version / finding.path}: {finding.problem}; "
            f"run the same command with --force to build it again"
        )


def identify(plan: BuildPlan, loaded: LoadedTask, index: IndexSection, observer: Observer) -> Origin:
    """Digest everything that determines the index's bytes.

    Args:
        plan: Names the recipe and the members.
        loaded: The Task and its source.
        index: Where the index goes and how it is stored.
        observer: Told how far the training set is read.

    Returns:
        The Task with the index's fingerprint.
    """
    task = loaded.task
    used = sorted({member.checkpoint for member in plan.members})
    read = survey(task, lambda done, rows: observer.reach("read training set", done, rows))
    fingerprint = Fingerprint.of(
        recipe=plan.recipe,
        weights=[
            weights_digest(task.checkpoints[c], plan.recipe.members.adapters, recorded=plan.recipe.recorded)
            for c in used
        ],
        data=read.digest,
        task=loaded.digest,
        storage=index.storage(),
        build={**plan.record(), **_digests(plan, task)},
    )
    record = TaskRecord(
        reference=portable_task(loaded.reference, index.path), digest=loaded.digest, name=task.name
    )
    return Origin(task=task, record=record, fingerprint=fingerprint)


def _digests(plan: BuildPlan, task: Task) -> dict[str, JsonValue]:
    """Digests of what some recipes read besides weights and training set."""
    read: dict[str, JsonValue] = {}
    if plan.evaluation_rows:
        items = task.evaluation_set or []
        digest = hashlib.sha256()
        for row in range(plan.evaluation_rows):
            digest.update(content_digest(read_items(items, [row], EVALUATION)[0]))
        read["evaluation"] = digest.hexdigest()
    if not plan.recipe.scale.uses_moments or plan.recipe.members.adapters:
        return read  # an adapter's moments are always estimated
    used = sorted({member.checkpoint for member in plan.members})
    states = [load_optimizer_state(task.checkpoints[c]) for c in used]
    return read | {"moments": [None if state is None else tensors_digest(state) for state in states]}


def _build_version(config: BuildConfig, plan: BuildPlan, origin: Origin, observer: Observer) -> None:
    workspace = prepare(plan, observer)
    plan = with_groups(plan, workspace, origin.task, observer)
    with executor_for(plan, origin.task, config.build.workers) as executor:
        run_units(plan, workspace, executor, observer)

    def writing(what: str, done: int, total: int) -> None:
        observer.reach(f"write {what}", done, total)

    contents = index_contents(
        plan, workspace, origin, config.index.storage(), partial(observer.reach, "describe groups")
    )
    contents = replace(contents, queries=partial(real_queries, plan, workspace, origin.task, observer.say))
    try:
        ready = write_index(contents, workspace.version, progress=writing)
        publish(ready, config.index.path / origin.fingerprint.version, observer.reach)
    except (BylineError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise BuildFailed(
            f"writing the index failed: {type(error).__name__}: {error} (finished units are kept: "
            f"correct the cause and run the same command again)"
        ) from error


def with_groups(plan: BuildPlan, workspace: Workspace, task: Task, observer: Observer) -> BuildPlan:
    """Group the training points, or read how an interrupted build grouped them."""
    if plan.grouping is None:
        return plan
    kept = workspace.root / "groups.npy"
    if not kept.is_file():
        groups = partition(task, plan.recipe, plan.grouping, plan.numerics, observer)
        with durable_file(kept) as file:
            np.save(file, groups.group_of_rows, allow_pickle=False)
    return replace(plan, groups=Members.of(np.load(kept, allow_pickle=False)))


def executor_for(plan: BuildPlan, task: Task, workers: int) -> Executor:
    """One process works here; several are spawned."""
    return InProcess(plan, task) if workers == 1 else Processes(plan, workers)


def prepare(plan: BuildPlan, observer: Observer) -> Workspace:
    """Open the work directory; what was computed with other numerics is not reused.

    Args:
        plan: The build.
        observer: Told what is found there.

    Returns:
        The directory, swept of what a killed build left half written.
    """
    workspace = Workspace(plan.work)
    key = json.dumps(
        {
            "numerics": asdict(plan.numerics),
            "statistics": [asdict(statistic) for statistic in plan.statistics],
            "versions": {
                "byline": byline.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        },
        sort_keys=True,
    )
    known = plan.work / "numerics.json"
    if known.is_file() and known.read_text() == key:
        observer.say("an interrupted build of this version is here: going on with it")
        workspace.sweep()
    else:
        if plan.work.exists():
            observer.say("an interrupted build with other settings is here: starting over")
        shutil.rmtree(plan.work, ignore_errors=True)
        plan.work.mkdir(parents=True)
        workspace.keep_text(known.name, key)
    return workspace
