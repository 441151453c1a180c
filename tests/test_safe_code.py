"""What the code never does, whoever writes it: nothing that is read can run, and no secret is compared by `==`."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("byline", "indexer", "service", "benchmarks", "examples")
RUNS_WHAT_IT_READS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
SECRET_WORDS = {"secret", "token", "digest", "signature", "password"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def calls() -> Iterator[tuple[str, str, dict[str, ast.expr]]]:
    """Find every call.

    Yields:
        Its place, the dotted name that is called, and its keyword arguments.
    """
    for path in files():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                yield place, ast.unparse(node.func), named


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def test_nothing_is_imported_that_runs_what_it_reads() -> None:
    for path in files():
        for node in ast.walk(parsed(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & RUNS_WHAT_IT_READS, f"{path}:{node.lineno}"


def test_torch_reads_weights_alone_and_numpy_no_objects() -> None:
    for place, called, named in calls():
        if called in {"torch.load", "load_torch"}:
            assert is_true(named.get("weights_only")), place
        if called in {"np.load", "numpy.load", "np.lib.format.read_array"}:
            assert "allow_pickle" not in named or not is_true(named["allow_pickle"]), place
        writes_pickles = called == "torch.save" and not place.startswith("benchmarks/peers")  # what they read
        assert not writes_pickles, f"{place}: write safetensors"


def test_yaml_makes_no_objects_and_no_shell_sees_arguments() -> None:
    for place, called, named in calls():
        assert called not in {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"}, place
        assert not is_true(named.get("shell")), place
        assert called not in {"os.system", "os.popen", "eval", "exec", "tempfile.mktemp"}, place


def test_sql_is_never_put_together_from_text() -> None:
    """Values are bound. Settings of a connection and names of roles cannot be: constants, and quoted by the driver."""
    for path in sorted((ROOT / "service").rglob("*.py")):
        if "migrations" in path.parts or path.name in {"engine.py", "grants.py"}:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {
                "text",
                "exec_driver_sql",
            }:
                assert all(isinstance(each, ast.Constant) for each in node.args), f"{path}:{node.lineno}"


def test_secrets_are_compared_in_constant_time() -> None:
    """`hmac.compare_digest` takes as long wherever two differ; `==` tells a stranger how much was right."""
    compared = 0
    for path in sorted((ROOT / "service/byline_service/accounts").rglob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hmac.compare_digest":
                compared += 1
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In):
                for side in (node.left, *node.comparators):
                    name = ast.unparse(side).lower()
                    if isinstance(side, ast.Name | ast.Attribute | ast.Call):
                        assert not any(word in name for word in SECRET_WORDS), f"{path}:{node.lineno} {name}"
    assert compared >= 2
