"""Every command of the documentation, run as a person would run it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import byline
from byline.__main__ import main
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/indexer/tiny_task.py"
BUILD_FILE = """
task = "tiny_task.py:task"

[recipe]
name = "{recipe}"
projection.size = 24
members.masks = 2

[index]
path = "{index}"

[build]
block_rows = 16
batch_rows = 8
"""
QUERY = {"x": [1, -1, 0.5, 0, 2, -0.5]}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: a task file, build files, and an index that was built."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copy(TINY, folder / "tiny_task.py")
    for name, recipe in (("tiny", "ekfac"), ("cosine", "grad_cos")):
        (folder / f"{name}.toml").write_text(BUILD_FILE.format(recipe=recipe, index=name))
    return folder


@pytest.fixture(scope="module")
def index(folder: Path) -> Path:
    with pytest.raises(SystemExit) as end:
        main(["build", str(folder / "tiny.toml")])
    assert end.value.code == 0
    return folder / "tiny"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; gives exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


def spawn(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "byline", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    times: list[float] = []
    while len(times) < 8 and min(times, default=1.0) >= 0.5:  # others may be using the machine
        start = time.perf_counter()
        with spawn("--help") as process:
            out, _ = process.communicate()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5, times
    for command in (
        "build",
        "self-influence",
        "inspect",
        "verify",
        "query",
        "scores",
        "score-candidates",
        "recipes",
    ):
        assert command in out
    check = "import sys, byline.__main__ as m; m.compose(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", check], cwd=ROOT, text=True).split()
    assert not {"torch", "numpy", "pydantic", "fastapi", "faiss"} & set(modules)


@pytest.mark.parametrize(
    "command",
    [
        "build",
        "evaluate",
        "tune",
        "self-influence",
        "inspect",
        "verify",
        "query",
        "scores",
        "score-candidates",
        "recipes",
        "serve",
    ],
)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "--help" in out
    if command != "serve":
        assert "Example" in out


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.strip().count(".") == 2


def test_recipes(run: Run) -> None:
    code, out, _ = run("recipes")
    assert code == 0
    assert "ekfac_margin" in out
    assert "eigenbasis" in out


def test_build_says_where_the_index_is_and_the_second_time_that_it_is_there(
    run: Run, index: Path, folder: Path
) -> None:
    code, out, err = run("build", folder / "tiny.toml")
    assert code == 0
    assert Path(out.strip()).parent == index
    assert "already published" in err


@pytest.mark.slow
def test_build_with_workers_finds_the_same_version(run: Run, index: Path, folder: Path) -> None:
    code, out, err = run("build", folder / "tiny.toml", "--workers", "2", "--force")
    assert code == 0
    assert Path(out.strip()).name == (index / "current").read_text().strip()
    assert "already published" not in err


def test_dry_run_estimates_and_writes_nothing(run: Run, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "tiny_task.py", tmp_path)
    build_file = tmp_path / "new.toml"
    build_file.write_text(BUILD_FILE.format(recipe="trak", index="new"))
    before = sorted(path for path in tmp_path.rglob("*") if path.name != "__pycache__")
    code, out, _ = run("build", build_file, "--dry-run")
    assert code == 0
    for line in ("time", "peak memory", "stored rows", "search file", "disk during the build"):
        assert line in out
    after = [path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts]
    assert sorted(after) == before


def test_inspect(run: Run, index: Path) -> None:
    code, out, _ = run("inspect", index)
    assert code == 0
    assert "ekfac" in out
    code, out, _ = run("inspect", index, "--json")
    facts = json.loads(out)
    assert (facts["rows"], facts["width"], facts["owners"]) == (90, 96, 4)
    assert facts["members"] == ["c0-m0", "c0-m1", "c1-m0", "c1-m1"]


def test_verify(run: Run, index: Path) -> None:
    code, out, _ = run("verify", index)
    assert code == 0
    assert "agree with their checksums" in out


def test_verify_names_a_damaged_file_even_if_its_times_are_unchanged(
    run: Run, index: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(index, copy)
    run("verify", copy)
    shard = next(copy.glob("*/vectors/*.npy"))
    times = shard.stat()
    data = bytearray(shard.read_bytes())
    data[-3] ^= 4
    shard.write_bytes(bytes(data))
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    code, _, err = run("verify", copy)
    assert code == 1
    assert "vectors/00000.npy" in err
    assert one_line(err.splitlines()[-1])


def test_self_influence_is_sorted_and_paged(run: Run, index: Path) -> None:
    code, out, _ = run("self-influence", index, "--limit", "5", "--json")
    first = json.loads(out)
    assert code == 0
    assert [each["rank"] for each in first] == [1, 2, 3, 4, 5]
    values = [each["self_influence"] for each in first]
    assert values == sorted(values, reverse=True)
    _, out, _ = run("self-influence", index, "-n", "2", "--offset", "3", "--json")
    assert json.loads(out) == first[3:]
    _, out, _ = run("self-influence", index, "-n", "1")
    assert first[0]["example"]["id"] in out


def test_self_influence_of_cosines_is_refused_with_the_reason(run: Run, folder: Path) -> None:
    run("build", folder / "cosine.toml")
    code, _, err = run("self-influence", folder / "cosine")
    assert code == 2
    assert "the same and ranks nothing" in err
    assert one_line(err)


def test_query_is_the_answer_of_the_attributor(run: Run, index: Path) -> None:
    code, out, _ = run(
        "query", index, "--query", json.dumps(QUERY), "-k", "4", "--direction", "both", "--json"
    )
    assert code == 0
    found = json.loads(out)
    request = AttributionRequest(query=QUERY, k=4, direction="both")
    expected = json.loads(Attributor.open(index).attribute(request).model_dump_json())
    for answer in (found, expected):
        del answer["timings"]
    assert found == expected
    assert len(found["proponents"]) == len(found["opponents"]) == 4
    assert found["prediction"]["label"] in {"0", "1", "2"}


def test_query_is_refined(run: Run, index: Path, tmp_path: Path) -> None:
    code, out, _ = run("query", index, "--query", json.dumps(QUERY), "--refine", "4", "--json")
    assert code == 0
    found = json.loads(out)
    expected = json.loads(Attributor.open(index).attribute(QUERY, refine=4).model_dump_json())
    for answer in (found, expected):
        del answer["timings"]
    assert found == expected
    assert found["refined"]["steps"] == 4
    (tmp_path / "q.jsonl").write_text(json.dumps(QUERY))
    file = tmp_path / "scores.npy"
    code, _, _ = run("scores", index, "--queries", tmp_path / "q.jsonl", "--out", file, "--refine", "4")
    assert code == 0
    (best, *_) = found["proponents"]
    assert np.load(file)[0].argmax() == best["row"]


def test_query_filters_and_shares(run: Run, index: Path) -> None:
    complete = json.dumps({**QUERY, "label": 1})
    options = ["--filter-owner", "owner-1", "--filter-owner", "owner-2", "--filter-label", "1"]
    _, out, _ = run("query", index, "-q", complete, "--target", "margin", *options, "--json")
    found = json.loads(out)
    assert found["target"] == "margin"
    assert {p["example"]["owner"] for p in found["proponents"]} == {"owner-1", "owner-2"}
    assert {p["example"]["label"] for p in found["proponents"]} == {"1"}
    _, out, _ = run("query", index, "-q", complete, "--filter-license", "MIT", "--shares", "-k", "2")
    assert "shares over all rows" in out
    assert "owner-3" in out


def test_query_from_the_standard_input(index: Path) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-X", "importtime", "-m", "byline"),
            *("query", str(index), "-q", "-", "-k", "1", "--json"),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        out, err = process.communicate(json.dumps(QUERY))
    assert len(json.loads(out)["proponents"]) == 1
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "torch" in imported
    assert "torch._dynamo" not in imported, "torch's compiler takes as long to import as the rest"


BAD_QUERIES = {
    "no JSON": ("{x", "to be JSON"),
    "no object": ("[1]", "JSON object"),
    "a missing field": ("{}", "x: expected this field, got none"),
    "an unknown field": (json.dumps({**QUERY, "y": 1}), "y: unknown field, expected label, x"),
}


@pytest.mark.parametrize("what", sorted(BAD_QUERIES))
def test_a_bad_query_is_one_line_and_exit_code_2(run: Run, index: Path, what: str) -> None:
    text, message = BAD_QUERIES[what]
    code, _, err = run("query", index, "-q", text)
    assert code == 2
    assert message in err
    assert one_line(err)


def test_scores_are_those_of_the_queries(run: Run, index: Path, tmp_path: Path) -> None:
    queries = [{**QUERY, "label": label} for label in (0, 1, 2)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n\n")
    out = tmp_path / "scores.npy"
    code, said, _ = run("scores", index, "--queries", tmp_path / "q.jsonl", "--out", out, "--batch", "2")
    assert code == 0
    assert said.strip() == str(out)
    scores = np.load(out, mmap_mode="r")
    assert scores.shape == (3, 90)
    assert scores.dtype == np.float32
    attributor = Attributor.open(index)
    for query, scores_R in zip(queries, scores, strict=True):
        answer = attributor.attribute(AttributionRequest(query=query, k=90))
        assert answer.proponents is not None
        for each in answer.proponents:
            assert scores_R[each.row] == pytest.approx(each.score, rel=1e-3, abs=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.jsonl", "scores.npy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "at least one query"), ('{"x": 1}\n', "query 1"), ("{}\n[", "line 2")],
)
def test_bad_queries_files_leave_no_scores(
    run: Run, index: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "q.jsonl").write_text(text)
    code, _, err = run("scores", index, "--queries", tmp_path / "q.jsonl", "--out", tmp_path / "scores.npy")
    assert code == 2
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["q.jsonl"]


def test_what_is_not_there_is_one_line_and_exit_code_2(run: Run, tmp_path: Path) -> None:
    for command in (["build", "no.toml"], ["inspect", tmp_path / "no"], ["verify", tmp_path / "no"]):
        code, out, err = run(*command)
        assert code == 2
        assert out == ""
        assert one_line(err)


def test_a_broken_task_file_is_one_line_with_a_hint(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tiny_task.py").write_text("def task(:\n")
    (tmp_path / "b.toml").write_text(BUILD_FILE.format(recipe="ekfac", index="x"))
    code, _, err = run("build", tmp_path / "b.toml")
    assert code == 2
    assert "SyntaxError" in err
    assert one_line(err)
    assert not (tmp_path / "x").exists()


BROKEN = {
    "weights": (
        "checkpoints=[",
        "checkpoints=[Checkpoint(weights=network())] + [",
        "pass model.state_dict()",
    ),
    "model": ("model=network", "model=network()", "a function that builds the model, got the model itself"),
    "loss": (
        "    return cross_entropy(model(batch[0])",
        "    return {}['no'] + cross_entropy(model(batch[0])",
        "raised KeyError: 'no'",
    ),
    "factory": (
        "return nn.Sequential(",
        "raise OSError('no disk')\n    return nn.Sequential(",
        "OSError: no disk (tiny",
    ),
    "describe": (
        "    def describe(row: int) -> Example:\n",
        "    def describe(row: int) -> Example:\n        1 / (row - 2)\n",
        "Task.describe(2) raised ZeroDivisionError: division by zero (tiny_task.py:",
    ),
    "owner": ('f"owner-{row % 4}"', 'f"owner-{row % 4}" if row != 2 else "\\udcff"', "Task.describe(2)"),
    "data": ('BAD_ROW] = float("nan")', 'BAD_ROW] = float("nan")', "row 5 of the training set: "),
    "the end": ("ROWS = 90", "ROWS = 90\nraise SystemExit(0)", "under `if __name__ == '__main__':`"),
}


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("what", BROKEN)
def test_mistakes_in_a_task_are_one_line(run: Run, tmp_path: Path, what: str, dry: bool) -> None:
    before, after, message = BROKEN[what]
    text = TINY.read_text()
    assert before in text
    text = text.replace("BAD_ROW: int | None = None", "BAD_ROW = 5") if what == "data" else text
    (tmp_path / "tiny_task.py").write_text(text.replace(before, after, 1))
    (tmp_path / "b.toml").write_text(BUILD_FILE.format(recipe="grad_dot", index="x"))
    code, _, err = run("build", tmp_path / "b.toml", *(["--dry-run"] if dry else []))
    assert code == (1 if what in {"data", "loss"} else 2)
    assert message in err
    assert one_line(err.splitlines()[-1])
    assert "Traceback" not in err
    assert not list(tmp_path.glob("x/*/manifest.json"))


def test_the_traceback_is_there_for_whoever_asks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny_task.py").write_text("1 / 0")
    (tmp_path / "b.toml").write_text(BUILD_FILE.format(recipe="grad_dot", index="x"))
    monkeypatch.setenv("BYLINE_TRACEBACK", "1")
    code, _, err = run("build", tmp_path / "b.toml")
    assert code == 2
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("error: importing")


def test_a_failing_unit_is_one_line_and_exit_code_1(run: Run, tmp_path: Path) -> None:
    text = TINY.read_text().replace("BAD_ROW: int | None = None", "BAD_ROW = 40")
    (tmp_path / "tiny_task.py").write_text(text)
    (tmp_path / "b.toml").write_text(BUILD_FILE.format(recipe="ekfac", index="x"))
    code, _, err = run("build", tmp_path / "b.toml")
    assert code == 1
    assert "rows 40 to 47" in err
    assert one_line(err.splitlines()[-1])


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """A shell's background jobs ignore Ctrl-C, and so does everything that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_is_clean_and_the_build_resumes(tmp_path: Path, run: Run, workers: int) -> None:
    slow = TINY.read_text().replace(
        "def per_example_loss(model: nn.Module, batch: list[Tensor]) -> Tensor:\n",
        "def per_example_loss(model: nn.Module, batch: list[Tensor]) -> Tensor:\n"
        "    __import__('time').sleep(0.02)\n",
    )
    (tmp_path / "tiny_task.py").write_text(slow)
    (tmp_path / "b.toml").write_text(BUILD_FILE.format(recipe="ekfac", index="x"))
    with spawn("build", tmp_path / "b.toml", "--workers", workers) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("x/.build-*/receipts/*/*/*.json")):
            assert time.monotonic() < deadline, "the build did not begin"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from there" in err
    assert "Traceback" not in err
    code, _, err = run("build", tmp_path / "b.toml")
    assert code == 0
    assert "going on with it" in err


def one_line(text: str) -> bool:
    """An error, told in one line without a traceback."""
    return text.startswith("error: ") and text.count("\n") <= 1 and "Traceback" not in text


def test_query_is_told_token_by_token(run: Run, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/byline/features/words.py", tmp_path / "words_task.py")
    chosen = byline.recipe("grad_dot", projection={"size": 64})
    task = f"{tmp_path / 'words_task.py'}:task"
    index = byline.build(task, chosen, tmp_path / "words", progress=False).index.path
    asked = ["query", index, "-q", json.dumps({"words": ["the", "cat", "sat"]}), "-k", "2", "--tokens"]
    code, out, err = run(*asked)
    assert code == 0, err
    for text in (
        "proponent 1",
        "proponent 2",
        "each token of the query owes",
        "the cat sat",
        "each token of it did",
    ):
        assert text in out
    _, out, _ = run(*asked, "--json")
    (first, _) = json.loads(out)["proponents"]
    expected = Attributor.open(index).attribute({"words": ["the", "cat", "sat"]}, k=2, tokens=True)
    assert first["tokens"] == json.loads(expected.proponents[0].tokens.model_dump_json())
    assert sum(first["tokens"]["query_parts"]) == pytest.approx(first["score"], rel=1e-4)
