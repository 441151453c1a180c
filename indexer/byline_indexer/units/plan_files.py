"""Hand a plan to worker processes through files.

A spawned process gets its arguments through a pipe that holds 64 KB. If it dies before it reads them, a parent that
writes more waits forever. So it gets the name of a folder.
"""

import json
import os
import shutil
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter

from byline.groups import GroupPartition
from byline_indexer.units.plan import BuildPlan

_PLAN, _GROUPS, _STARTED = "plan.json", "groups.npy", "started-"


def write_plan(plan: BuildPlan, folder: Path) -> None:
    """Write a plan into a folder. Groups, which grow with the rows, in a file of their own."""
    shutil.rmtree(folder, ignore_errors=True)  # what a killed build left there says nothing of this one
    folder.mkdir(parents=True)
    parts = {
        name: adapter.dump_python(getattr(plan, name), mode="json") for name, adapter in _adapters().items()
    }
    (folder / _PLAN).write_text(json.dumps(parts), encoding="utf-8")
    if plan.groups is not None:
        np.save(folder / _GROUPS, plan.groups.group_of_rows, allow_pickle=False)


def read_plan(folder: Path) -> BuildPlan:
    """Read a plan, and note that this process lives."""
    parts = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
    plan = BuildPlan(**{name: adapter.validate_python(parts[name]) for name, adapter in _adapters().items()})
    if (folder / _GROUPS).is_file():
        plan = replace(plan, groups=GroupPartition.of(np.load(folder / _GROUPS, allow_pickle=False)))
    (folder / f"{_STARTED}{os.getpid()}").touch()
    return plan


def any_started(folder: Path) -> bool:
    """Tell whether a process has read the plan."""
    return any(folder.glob(f"{_STARTED}*"))


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Make the adapters that write and read each field."""
    hints = get_type_hints(BuildPlan)
    return {
        field.name: TypeAdapter(hints[field.name]) for field in fields(BuildPlan) if field.name != "groups"
    }
