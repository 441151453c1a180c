"""The language model's demo with a drawn model: documents, fine-tuning, `byline build --hf`, `byline query`."""

import json
import os
from pathlib import Path

import pytest

from examples.smollm2.documents import Sizes, question, write_documents
from tests.forks import Forks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_demo_runs(tmp_path: Path, forks: Forks) -> None:
    words = ["examples.smollm2.demo", "--smoke", "--folder", str(tmp_path)]
    done = forks.run(words, ROOT, os.environ, seconds=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("proponents") == 2, "an answer of the adapter and one of the whole model"
    assert (tmp_path / "lora" / "adapter_config.json").is_file()
    assert (tmp_path / "whole" / "config.json").is_file()


def test_documents_have_questions_owners_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    assert write_documents(path, Sizes(packages=5, characters=200)) == 5
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({line["id"] for line in lines}) == 5
    for line in lines:
        asked, answer = line["messages"]
        assert asked == {"role": "user", "content": question(line["id"])}
        assert 150 <= len(answer["content"]) <= 200
        assert line["owner"]
