"""Read and digest a Task, its weights and its data. Every later reading is compared with these digests."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from byline.digests import content_digest, first_bits
from byline.errors import BylineError
from byline.index.fingerprint import Fingerprint
from byline.index.layout import TaskRecord
from byline.index.manifest import Manifest, read_manifest
from byline.loading.task_file import LoadedTask
from byline.members import run_time
from byline.models.checkpoints import checkpoint_digests, pin_checkpoints, weights_digest
from byline.models.training_points import EVALUATION, read_items
from byline.task import CheckpointDigests, Task
from byline_indexer.build.contents import BuildIdentity
from byline_indexer.build.survey import Survey, scan_training_set
from byline_indexer.config import BuildSettings, portable_task
from byline_indexer.progress import Observer
from byline_indexer.units.data_digests import DataDigests, Digests
from byline_indexer.units.plan import BuildPlan, Numerics, settings_record


class Sources:
    """A Task, its weights and its data, with their digests.

    Args:
        config: The settings of the build.
        loaded: The Task and its source.
        observer: Receives the progress of reading the training set.
    """

    def __init__(self, config: BuildSettings, loaded: LoadedTask, observer: Observer) -> None:
        self._config, self._loaded, self._observer = config, loaded, observer
        self.members = config.recipe.members.of(loaded.task.checkpoints)
        """The ensemble."""

    @property
    def task_digest(self) -> str:
        """Digest of the source or the declarations of the Task."""
        return self._loaded.digest

    @cached_property
    def checkpoints(self) -> Mapping[int, CheckpointDigests]:
        """Digests of the checkpoints that are used, by their positions."""
        recipe, task = self._config.recipe, self._loaded.task
        adapters = recipe.members.adapters  # an adapter's moments are always estimated
        return {
            place: checkpoint_digests(
                task.checkpoints[place],
                adapters,
                recorded=recipe.recorded,
                moments=task.model if recipe.scale.uses_moments and not adapters else None,
            )
            for place in sorted({member.checkpoint for member in self.members})
        }

    @cached_property
    def task(self) -> Task:
        """The Task. Its weights are compared with their digests whenever they are loaded."""
        return pin_checkpoints(self._loaded.task, self.checkpoints)

    @cached_property
    def survey(self) -> Survey:
        """Digests and metadata of the training set. The first use reads all of it."""
        found = scan_training_set(
            self._loaded.task, lambda done, rows: self._observer.progress("read training set", done, rows)
        )
        for notice in found.spellings.notices():
            self._observer.message(notice)
        return found

    def identity(self, plan: BuildPlan) -> BuildIdentity:
        """Identify the index that a plan makes.

        Args:
            plan: Of this build file and Task.

        Returns:
            The Task, whose items are compared with the first reading, and the index's fingerprint.
        """
        evaluated = plan.evaluation_rows > 0
        digests = DataDigests(self.survey.rows_R, self._evaluation[1] if evaluated else None)
        reference = self._loaded.reference
        record = TaskRecord(
            reference=reference and portable_task(reference, self._config.index.path),
            digest=self._loaded.digest,
            name=self._loaded.task.name,
        )
        fingerprint = self._fingerprint(self.survey.digest, plan.record(), evaluated=evaluated)
        return BuildIdentity(
            task=replace(digests.checked(self.task), describe=self.survey.examples.example),
            record=record,
            fingerprint=fingerprint,
            digests=digests,
        )

    def published(self) -> Path | None:
        """Find the published version that this build would make. Reads the training set once and runs no model.

        Only a reading can tell that data are what they were. Where no version has this recipe, source and weights, nothing
        is read.
        """
        alike = [(path, manifest) for path, manifest in self._versions() if self._is_alike(manifest)]
        same = [path for path, manifest in alike if manifest.fingerprint.data == self.survey.digest]
        return same[0] if same else None

    def _versions(self) -> Iterator[tuple[Path, Manifest]]:
        """List published versions whose manifests can be read. A damaged one is found by its name later.

        Yields:
            Their directories and manifests.
        """
        for path in sorted(self._config.index.path.glob("[!.]*/")):
            try:
                manifest = read_manifest(path)
            except BylineError:
                continue
            if manifest.fingerprint.version == path.name:
                yield path, manifest

    def _is_alike(self, manifest: Manifest) -> bool:
        """Tell whether a version agrees in everything but perhaps the data."""
        build = self._config.build
        settings = settings_record(Numerics.of(build), self._config.groups, self.members)
        optional = {"groups", "member_weights"}
        if any(manifest.build.get(name) != settings.get(name) for name in {*settings, *optional}):
            return False
        fitted = manifest.build.get("fit_rows")
        evaluated = isinstance(fitted, Mapping) and "evaluation" in fitted
        own = self._fingerprint(manifest.fingerprint.data, manifest.build, evaluated=evaluated)
        return own == manifest.fingerprint

    def _fingerprint(self, data: str, build: Mapping[str, JsonValue], *, evaluated: bool) -> Fingerprint:
        recipe = self._config.recipe
        read: dict[str, JsonValue] = {"evaluation": self._evaluation[0]} if evaluated else {}
        if recipe.scale.uses_moments and not recipe.members.adapters:
            read["moments"] = [each.optimizer_state for each in self.checkpoints.values()]
        if recipe.uses_run_time:
            read["run_times"] = [run_time(member, self._loaded.task.checkpoints) for member in self.members]
        return Fingerprint.of(
            recipe=recipe,
            weights=[weights_digest(each) for each in self.checkpoints.values()],
            data=data,
            task=self._loaded.digest,
            storage=self._config.index.storage(),
            build={**build, **read},
        )

    @cached_property
    def _evaluation(self) -> tuple[str, Digests]:
        """Digests of the evaluation set and of each of its items."""
        items = self._loaded.task.evaluation_set or []
        digest, each_E = hashlib.sha256(), np.empty(len(items), dtype=np.uint64)
        for row in range(len(items)):
            item = content_digest(read_items(items, [row], EVALUATION)[0])
            digest.update(item)
            each_E[row] = first_bits(item)
        return digest.hexdigest(), each_E
