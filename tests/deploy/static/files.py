"""The files of docker/ and deploy/, as the tests read them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("local", "production", "gpu")
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def tool(name: str) -> str:
    """A command that the development packages install beside Python."""
    return str(Path(sys.executable).with_name(name))


def compose() -> dict[str, Any]:
    """deploy/compose.yaml, with its anchors resolved."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel of the dashboards, with a name for it.

    Yields:
        The name, the panel.
    """
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            yield f"{path.stem}: {panel['title']}", panel


def queries(field: str) -> list[tuple[str, str]]:
    """The panels' queries of one kind: `expr` of Prometheus, `rawSql` of PostgreSQL."""
    return [
        (name, target[field]) for name, panel in panels() for target in panel["targets"] if field in target
    ]


def rendered(overlay: str) -> list[dict[str, Any]]:
    """An overlay's objects, as `kubectl kustomize` renders them; None where there is no kubectl.

    Without it the files are read as they are: then the overlays' patches are left out.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return manifests(KUBERNETES / "base") + manifests(KUBERNETES / "overlays" / overlay)
    folder = KUBERNETES / "overlays" / overlay
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def manifests(folder: Path) -> list[dict[str, Any]]:
    """The objects in a folder's files."""
    paths = [path for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [found for path in paths for found in yaml.safe_load_all(path.read_text())]


def without_macros(sql: str) -> str:
    """A panel's SQL as Grafana sends it, for the last 90 days."""
    sql = re.sub(r"\$__timeFilter\((\w+(?:\.\w+)?)\)", r"\1 BETWEEN $__timeFrom() AND $__timeTo()", sql)
    sql = re.sub(r"\$__timeGroupAlias\((\w+), '1d'\)", r"date_trunc('day', \1) AS time", sql)
    sql = sql.replace("$__timeFrom()", "(now() - interval '90 days')").replace("$__timeTo()", "now()")
    assert "$__" not in sql, f"a macro that the tests do not know: {sql}"
    return sql


def without_intervals(promql: str) -> str:
    """A panel's PromQL as Grafana sends it."""
    return promql.replace("$__rate_interval", "1m")
