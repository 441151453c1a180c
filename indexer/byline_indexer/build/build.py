"""Build an index: plan, run the units that are not finished, write the index, publish it."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from byline.api.blend import Blend
from byline.baselines import BASELINES
from byline.errors import BuildFailed, BylineError, CorruptIndex, InvalidInput, InvalidTask
from byline.groups import GroupPartition
from byline.index.blend import write_blend
from byline.index.checks import CheckCache
from byline.index.durable import durable_file
from byline.index.layout import CHECK_CACHE
from byline.index.publishing import point_to_version, publish
from byline.index.verification import verify
from byline.index.writer import write_index
from byline.loading.task_file import LoadedTask, load_task
from byline.models.member import MemberModel
from byline.models.probe import probe
from byline.progress import count_steps
from byline.search.recall import measure_recall
from byline.task import Task
from byline_indexer.build.contents import BuildIdentity, index_contents
from byline_indexer.build.expectations import expected_seconds, measured_rates
from byline_indexer.build.lock import build_lock
from byline_indexer.build.partition import partition
from byline_indexer.build.probe import ProbedPlan, few_sums_warning, probed_plan
from byline_indexer.build.recall_queries import real_queries
from byline_indexer.build.sources import Sources
from byline_indexer.config import BuildSettings
from byline_indexer.processes import end_in_unguarded_script
from byline_indexer.progress import Expecting, Observer, Silent, preparing
from byline_indexer.units.executor import Executor, InProcess, Processes
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """A published version, and whether this build made it."""

    path: Path
    """The version's directory."""
    fresh: bool
    """False if the version had been published before."""


def build(
    config: BuildSettings,
    observer: Observer | None = None,
    *,
    force: bool = False,
    loaded: LoadedTask | None = None,
) -> BuildResult:
    """Build an index, or finish one that was interrupted.

    Args:
        config: The build file, or the same settings without a Task.
        observer: Receives progress and messages.
        force: Build again although the version is published.
        loaded: The Task, in place of the one that `config.task` names; goes with one worker.

    Returns:
        Where the index is.

    Raises:
        InvalidInput: A Task in memory is to be built by several workers.
        InvalidTask: The Task, its weights or its training set is wrong, or there is none, or the Task lacks the form
            that the blend's baseline compares.
        UnsupportedModel: Its gradients cannot be taken example by example.
        BuildFailed: A unit failed. What is finished is kept.
        CorruptIndex: The version is published, and damaged.
    """
    end_in_unguarded_script()
    observer = observer or Silent()
    sources = Sources(config, loaded or _declared(config), observer)
    if loaded is not None and loaded.reference is None and config.build.workers > 1:
        raise InvalidInput(
            f"expected workers = 1 for a Task in memory, got {config.build.workers}: every worker process loads the Task "
            f"from a file. Leave workers at 1, or declare the Task in a file and pass 'file.py:function'"
        )
    if config.blend is not None:
        BASELINES[config.blend.baseline].require(sources.task)
    version = None if force else sources.published()
    if version is None:
        return _planned(config, sources, observer, force=force)
    with build_lock(_work_of(version).with_name(f"{_work_of(version).name}.lock")):
        return _finished(version, config.blend, observer)


def _declared(config: BuildSettings) -> LoadedTask:
    if config.task is None:
        raise InvalidTask(
            "expected a Task: name one in the build file as task = 'file.py:function', or pass it"
        )
    return load_task(config.task)


def _planned(config: BuildSettings, sources: Sources, observer: Observer, *, force: bool) -> BuildResult:
    """Plan the build, and run it unless its version is published."""
    with preparing(observer), count_steps(None, 2) as advance:
        probed = probed_plan(config, sources.task)
        advance(1)
        yields = None if probed.model is None else probe(probed.model)
    plan = probed.plan
    if isinstance(observer, Expecting):
        observer.expect(expected_seconds(plan, config, measured_rates(probed.row_seconds)))
    for notice in plan.parameters.notices():
        observer.message(notice)
    identity = sources.identity(plan)
    identity = replace(identity, record=identity.record.model_copy(update={"probe": yields}))
    version = config.index.path / identity.fingerprint.version
    work = _work_of(version)
    plan = replace(plan, work=work, task_digest=sources.task_digest, checkpoints=sources.checkpoints)
    probed.plan = plan
    _mention_others(work, observer)
    warning = few_sums_warning(plan)
    if warning is not None:
        observer.message(warning)
    with build_lock(work.with_name(f"{work.name}.lock")):
        if version.exists() and not force:
            return _finished(version, config.blend, observer)
        _build_version(config, probed, identity, observer)
        _point(version, config.blend)
    return BuildResult(path=version, fresh=True)


def _finished(version: Path, blend: Blend | None, observer: Observer) -> BuildResult:
    """Verify a published version, and point at it. Its blend is a setting that may have changed."""
    observer.message(f"version {version.name} is already published: verifying it")
    for finding in verify(version, observer.progress).findings:
        raise CorruptIndex(
            f"{version / finding.path}: {finding.problem}; "
            f"run the same command with --force to build it again"
        )
    _point(version, blend)
    return BuildResult(path=version, fresh=False)


def _point(version: Path, blend: Blend | None) -> None:
    write_blend(version, blend)
    point_to_version(version.parent, version.name)
    shutil.rmtree(_work_of(version), ignore_errors=True)


def _work_of(version: Path) -> Path:
    return version.with_name(f".build-{version.name}")


def _mention_others(work: Path, observer: Observer) -> None:
    """Name the unfinished builds of other settings: they take room until they are finished or deleted."""
    others = sorted(path.name for path in work.parent.glob(".build-*") if path.is_dir() and path != work)
    if others:
        observer.message(
            f"unfinished builds of other settings lie in {work.parent}: {', '.join(others)}; "
            f"delete them if you will not go on with them"
        )


def _build_version(
    config: BuildSettings, probed: ProbedPlan, identity: BuildIdentity, observer: Observer
) -> None:
    plan = probed.plan
    workspace = open_workspace(plan, observer)
    identity.digests.keep(plan.work)
    plan = with_groups(plan, workspace, identity.task, observer)
    model = probed.take_model()
    if model is not None:  # an opening needs no second check
        checks = CheckCache(config.index.path / CHECK_CACHE, identity.fingerprint.hex, identity.task.code)
        model.remember(checks, plan.members[0])
    with executor_for(plan, identity.task, config.build.workers, model) as executor:
        run_units(plan, workspace, executor, observer)
    del executor, model  # the model's and the fits' memory is free before the index is written

    def writing(what: str, done: int, total: int) -> None:
        observer.progress(f"write {what}", done, total)

    contents = index_contents(
        plan, workspace, identity, config.index.storage(), partial(observer.progress, "describe groups")
    )
    contents = replace(
        contents, queries=partial(real_queries, plan, workspace, identity.task, observer.message)
    )
    try:
        ready = write_index(contents, workspace.version, progress=writing, measure_recall=measure_recall)
        publish(ready, config.index.path / identity.fingerprint.version, observer.progress)
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
    return replace(plan, groups=GroupPartition.of(np.load(kept, allow_pickle=False)))


def executor_for(plan: BuildPlan, task: Task, workers: int, model: MemberModel | None = None) -> Executor:
    """Make what runs the units: this process, or several that are spawned.

    Args:
        plan: The build.
        task: The Task, whose items are compared with the first reading.
        workers: Processes. 1 takes this one.
        model: The first member's model, where this process has loaded and checked it.
    """
    return InProcess(plan, task, model) if workers == 1 else Processes(plan, workers)


def open_workspace(plan: BuildPlan, observer: Observer) -> Workspace:
    """Open the work directory. Outputs that were computed with other numerics are deleted.

    Args:
        plan: The build.
        observer: Receives a message about an interrupted build.

    Returns:
        The directory, swept of what a killed build left half written.
    """
    workspace = Workspace(plan.work)
    key = json.dumps(
        {
            "numerics": asdict(plan.numerics),
            "statistics": [asdict(statistic) for statistic in plan.statistics],
            "versions": dict(plan.libraries),
        },
        sort_keys=True,
    )
    known = plan.work / "numerics.json"
    if known.is_file() and known.read_text() == key:
        observer.message("an interrupted build of this version is here: going on with it")
        workspace.sweep()
    else:
        if plan.work.exists():
            observer.message("an interrupted build with other settings is here: starting over")
        shutil.rmtree(plan.work, ignore_errors=True)
        plan.work.mkdir(parents=True)
        workspace.keep_text(known.name, key)
    return workspace
