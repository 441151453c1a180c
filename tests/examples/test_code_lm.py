"""The demo's parts, each with a second of work."""

from email.message import Message

import pytest
import torch

from byline.loading.task_file import load_task
from byline_indexer.config import load_config
from examples.code_lm.corpus import (
    Sizes,
    collect,
    license_of,
    owner_of,
    read_documents,
    write_documents,
)
from examples.code_lm.train import Training, chunks_of, prepare, train_all

PACKAGES = ("click", "pydantic", "rich", "starlette", "no-such-package")
SIZES = Sizes(files=3, held_out=1, characters=6_000, file_characters=2_000)
TINY = Training(vocabulary=300, context=32, layers=1, width=16, heads=2, seeds=(0, 1), steps=3, batch=2)


@pytest.fixture(scope="module")
def corpus():
    return collect(PACKAGES, SIZES)


def test_every_file_has_an_owner_a_license_and_a_place(corpus):
    assert {d.label for d in corpus.train} == {"click", "pydantic", "rich", "starlette"}
    for document in corpus.train + corpus.held_out:
        assert document.owner
        assert "@" not in document.owner, "an e-mail address is nobody's name"
        assert document.license
        assert document.uri.startswith("pkg:pypi/")


def test_held_out_files_are_not_trained_on(corpus):
    assert {d.label for d in corpus.held_out} == {d.label for d in corpus.train}
    assert not {d.id for d in corpus.held_out} & {d.id for d in corpus.train}
    assert not {d.text for d in corpus.held_out} & {d.text for d in corpus.train}


def test_no_package_outweighs_the_others(corpus):
    for name in {d.label for d in corpus.train}:
        texts = [d.text for d in corpus.train if d.label == name]
        assert 0 < len(texts) <= 3
        assert sum(map(len, texts)) <= 6_000


def test_the_corpus_is_the_same_every_time(corpus, tmp_path):
    assert collect(PACKAGES, SIZES) == corpus
    assert collect(PACKAGES[:2], SIZES).digest != corpus.digest
    write_documents(tmp_path / "train.json", corpus.train)
    assert read_documents(tmp_path / "train.json") == corpus.train


@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        ({"Author": "Will McGugan"}, "Will McGugan"),
        ({"Author-email": "Tom Christie <tom@example.org>"}, "Tom Christie"),
        ({"Author-email": "Ann A <a@b.c>, Bob B <b@b.c>"}, "Ann A et al."),
        ({"Author-email": '"Services, Inc." <a@b.c>'}, "Services, Inc."),
        ({"Maintainer-email": "Pallets <contact@example.org>"}, "Pallets"),
        ({"Author": "UNKNOWN"}, "package"),
        ({"Author-email": "only@example.org"}, "package"),
    ],
)
def test_owners_come_from_the_metadata(fields, owner):
    assert owner_of(metadata(fields)) == owner


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License-Expression": "MIT", "License": "something"}, "MIT"),
        ({"License": "BSD"}, "BSD"),
        (
            {"License": "word " * 100, "Classifier": "License :: OSI Approved :: MIT License"},
            "MIT License",
        ),
        ({}, None),
    ],
)
def test_licenses_come_from_the_metadata(fields, expected):
    assert license_of(metadata(fields)) == expected


def metadata(fields: dict[str, str]) -> Message:
    message = Message()
    message["Name"] = "package"
    for name, value in fields.items():
        message[name] = value
    return message


@pytest.mark.slow
def test_training_writes_what_the_task_reads(corpus, tmp_path):
    documents = tmp_path / "train.json"
    write_documents(documents, corpus.train)
    prepare(tmp_path, corpus.train, TINY)
    seen: dict[int, int] = {}
    paths = train_all(tmp_path, documents, TINY, seen.__setitem__)
    assert [path.name for path in paths] == ["seed-0.safetensors", "seed-1.safetensors"]
    assert seen == {0: 3, 1: 3}

    (tmp_path / "mytask.py").write_text(
        "from pathlib import Path\nfrom examples.code_lm.task import task as code_lm\n"
        "def task():\n    return code_lm(Path(__file__).parent)\n"
    )
    task = load_task("mytask.py:task", tmp_path).task
    assert len(task.checkpoints) == 2
    assert len(task.train_set) == len(chunks_of(tmp_path, corpus.train, TINY.context))
    assert task.describe(0).owner == "Pallets"
    model = task.model()
    assert any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())
    assert torch.isfinite(task.loss(model, task.collate([task.train_set[0]]))).all()


@pytest.mark.parametrize("example", ["code_lm", "digits"])
def test_the_build_files_are_valid(example, request):
    config = load_config(request.config.rootpath / "examples" / example / "byline.toml")
    assert config.recipe.name == "ekfac"
    assert config.task.endswith(f"examples/{example}/task.py:task")
