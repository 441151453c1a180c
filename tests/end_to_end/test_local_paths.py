"""A URL where a path belongs is refused by name, and no folder is made of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from byline.errors import BylineError, InvalidInput
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.paths import local_path
from byline.recipes import recipe
from byline.recording import TrainingRecorder
from byline.task import Checkpoint
from byline_indexer.adapters import AdapterOptions, train_adapters
from byline_indexer.config import load_config
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.scores import read_requests, write_scores
from byline_service.settings import Settings
from byline_service.versions.startup import IndexArgument
from tests.indexer.conftest import TINY
from tests.indexer.tiny_task import task

URLS = ["s3://bucket/index", "gs://bucket/index", "https://example.org/index", "hdfs:/data/index"]


@pytest.mark.parametrize("url", URLS)
def test_urls_are_refused(url: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"expected index.path to be a file or folder of this machine.*mount"
    ):
        local_path(url, "index.path")
    with pytest.raises(InvalidInput, match="URL"):
        local_path(Path(url))  # which has one slash fewer


@pytest.mark.parametrize("path", ["index", "/data/index", "../a b/index", "s3:x", "a:b/c", "./s3:/x"])
def test_paths_are_taken_as_they_are(path: str) -> None:
    assert local_path(path) == Path(path)


def test_a_file_url_is_told_how_to_be_a_path() -> None:
    with pytest.raises(InvalidInput, match="leave out 'file://'"):
        local_path("file:///data/index")


def build_file(folder: Path, **changes: str) -> Path:
    fields = {"task": f"{TINY}:task", "path": "index", **changes}
    text = (
        f'task = {json.dumps(fields["task"])}\n[recipe]\nname = "trak"\n[index]\npath = "{fields["path"]}"\n'
    )
    (folder / "build.toml").write_text(text)
    return folder / "build.toml"


SETTINGS: dict[str, Callable[[Path], object]] = {
    "index.path": lambda folder: load_config(build_file(folder, path="s3://bucket/index")),
    "task": lambda folder: load_config(build_file(folder, task="s3://bucket/task.py:task")),
    "the build file": lambda _: load_config(Path("https://example.org/build.toml")),
    "the Task": lambda _: load_task("https://example.org/task.py:task"),
    "a checkpoint's file": lambda _: Checkpoint(weights=Path("s3://bucket/weights.pt")),
    "the index": lambda _: AttributionIndex.open("s3://bucket/index"),
    "the index of a service": lambda _: IndexArgument.parse("name=s3://bucket/index", Settings()),
    "--out": lambda folder: write_scores(folder, [], Path("s3://bucket/scores.npy")),
    "--queries": lambda _: read_requests(Path("s3://bucket/queries.jsonl")),
    "data_dir": lambda _: Settings(data_dir=Path("s3://bucket/data")),
    "out": lambda _: EvaluationOptions(out=Path("s3://bucket/evaluation")),
    "--out of adapters": lambda _: train_adapters(task(), 0, AdapterOptions(), Path("s3://bucket/adapters")),
    "the recording's folder": lambda _: TrainingRecorder(
        task(), recipe("dvemb"), task().model(), "s3://bucket/run"
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_that_is_a_path_refuses_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        (BylineError, ValueError), match=f"(?s){setting.partition(' of ')[0]}.*(s3|https): URL"
    ):
        SETTINGS[setting](tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"build.toml"}
