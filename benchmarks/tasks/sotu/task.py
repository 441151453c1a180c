"""The Task of the benchmark: chunks of speeches, whose owners are the presidents.

byline evaluate … --task benchmarks/tasks/sotu/task.py:task
"""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from benchmarks.tasks import CACHE
from benchmarks.tasks.sotu.model import FULL, SMOKE, Protocol, train, write_folder
from benchmarks.tasks.sotu.speeches import Speech, Split, made_up_speeches, real_speeches, split
from byline.task import Task
from byline.tasks.causal_lm import causal_language_model
from byline.tasks.documents import ChunkOptions, Chunks, Document
from byline.tasks.pretrained import LocalModel, Tokens

LONGER = 52_000
"""Characters of every speech in `longer`."""


def task() -> Task:
    """The whole benchmark's Task."""
    return make_task(FULL)


def smoke() -> Task:
    """The tiny run's Task."""
    return make_task(SMOKE)


def longer() -> Task:
    """About 5,000 chunks: the same models, attributed to more of the same speeches than they were trained on."""
    return make_task(replace(FULL, characters=LONGER))


def longer_smoke() -> Task:
    """The tiny run's models, attributed to twice as much of its speeches."""
    return make_task(replace(SMOKE, characters=2 * SMOKE.characters))


def folder_of(protocol: Protocol) -> Path:
    """Where everything of a protocol is kept."""
    return CACHE / protocol.name


def prepare(protocol: Protocol) -> Path:
    """Fetch the speeches, and train the tokenizer; what is there stays."""
    folder = folder_of(protocol)
    folder.mkdir(parents=True, exist_ok=True)
    stamp, wanted = folder / "protocol.json", json.dumps(asdict(protocol), sort_keys=True)
    if stamp.exists() and stamp.read_text() != wanted:
        raise SystemExit(f"{folder} was made with another protocol: delete it and run again")
    if not stamp.exists():
        texts = [speech.text[: protocol.characters] for speech in _split(protocol).train]
        write_folder(folder, texts, protocol)
        stamp.write_text(wanted)
    return folder


def train_models(protocol: Protocol) -> None:
    """Train the models that are attributed, each on the whole training set; what is there stays."""
    folder, chunks = prepare(protocol), train_chunks(protocol)
    for seed in range(protocol.models):
        path = folder / f"seed-{seed}.safetensors"
        if not path.exists():
            start = time.process_time()
            weights = train(folder, chunks, range(len(chunks)), 77 + seed, protocol)
            (folder / "train-seconds.txt").write_text(f"{time.process_time() - start:.2f}")
            save_file(weights, path)


def make_task(protocol: Protocol) -> Task:
    """Declare the Task over the models that `prepare` trained."""
    folder, chunks = folder_of(protocol), train_chunks(protocol)
    local = LocalModel(
        folder=folder,
        checkpoints=tuple(sorted(folder.glob("seed-*.safetensors"))),
        context=protocol.context,
        shortest=protocol.context,
    )
    declared = causal_language_model(protocol.name, local, documents(protocol))
    return replace(
        declared,
        train=lambda rows, seed: train(folder, chunks, rows, seed, protocol),
        evaluation_set=query_chunks(protocol),
    )


def documents(protocol: Protocol) -> list[Document]:
    """The speeches that are trained on, each cut after so many characters."""
    return [_document(speech, protocol.characters) for speech in _split(protocol).train]


def train_chunks(protocol: Protocol) -> Chunks:
    """The training set."""
    return _chunks(documents(protocol), protocol)


def query_chunks(protocol: Protocol) -> list[dict[str, Any]]:
    """Chunks of speeches that were not trained on, in a fixed random order: the reported ones first."""
    chunks = _chunks(
        [_document(speech, protocol.query_characters) for speech in _split(protocol).queries], protocol
    )
    order = np.random.default_rng(2).permutation(len(chunks))
    return [chunks[int(row)] for row in order[: 2 * protocol.queries]]


def _split(protocol: Protocol) -> Split:
    speeches = made_up_speeches() if protocol.name == SMOKE.name else real_speeches(CACHE / "sotu-speeches")
    return split(speeches, protocol.presidents)


def _document(speech: Speech, characters: int) -> Document:
    return Document(
        text=speech.text[:characters],
        id=f"{speech.year}-{speech.president.lower().replace(' ', '-')}",
        owner=speech.president,
        license="PDDL-1.0",
        attributes={"year": speech.year},
    )


def _chunks(texts: list[Document], protocol: Protocol) -> Chunks:
    tokens = Tokens(folder_of(protocol))
    return Chunks(texts, tokens.encode, ChunkOptions(protocol.context, shortest=protocol.context))
