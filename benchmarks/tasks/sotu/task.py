"""The Task: chunks of speeches, whose owners are the presidents; and its truth by real retraining."""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from benchmarks.tasks import CACHE
from benchmarks.tasks.sotu.model import FULL, SMOKE, Protocol, minus_losses, train, write_folder
from benchmarks.tasks.sotu.speeches import Speech, Split, made_up_speeches, real_speeches, split
from benchmarks.tasks.truth import Retraining, keep_truth, random_halves
from byline.task import Task
from byline.tasks.causal_lm import causal_language_model
from byline.tasks.chunks import ChunkOptions, Chunks
from byline.tasks.documents import Document
from byline.tasks.pretrained import LocalModel
from byline.tasks.tokenizer import Tokens

LONGER = 52_000
"""Characters of every speech in `longer`."""


def task() -> Task:
    """Declare the Task, whose evaluation set is the reported queries."""
    return make_task(FULL)


def tuning() -> Task:
    """Declare the same with the tuning queries."""
    return make_task(FULL, reported=False)


def task_smoke() -> Task:
    """Declare `task` of the smallest protocol."""
    return make_task(SMOKE)


def tuning_smoke() -> Task:
    """Declare `tuning` of the smallest protocol."""
    return make_task(SMOKE, reported=False)


def longer() -> Task:
    """Declare about 5,000 chunks: the same models, attributed to more text than they were trained on."""
    return make_task(replace(FULL, characters=LONGER))


def longer_smoke() -> Task:
    """Declare the smallest protocol's models, attributed to twice as much text."""
    return make_task(replace(SMOKE, characters=2 * SMOKE.characters))


def folder_of(protocol: Protocol) -> Path:
    """Name the folder of everything that a protocol makes."""
    return CACHE / protocol.name


def truth_of(protocol: Protocol, name: str = "truth") -> Path:
    """Name the file of a truth: `truth` of the reported queries, `tuning` of the others."""
    return folder_of(protocol) / f"{name}.npz"


def reference_of(protocol: Protocol, name: str = "task") -> str:
    """Name a Task of this module as a build file does."""
    return f"{__name__}:{name if protocol == FULL else f'{name}_smoke'}"


def train_seconds(protocol: Protocol) -> float:
    """Read the CPU time of training one model."""
    return float((folder_of(protocol) / "train-seconds.txt").read_text())


def prepare(protocol: Protocol) -> Path:
    """Fetch the speeches and train the tokenizer; finished files stay."""
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
    """Train the models that are attributed, each on the whole training set; finished files stay."""
    folder, chunks = prepare(protocol), train_chunks(protocol)
    for seed in range(protocol.models):
        path = folder / f"seed-{seed}.safetensors"
        if not path.exists():
            start = time.process_time()
            weights = train(folder, chunks, range(len(chunks)), 77 + seed, protocol)
            (folder / "train-seconds.txt").write_text(f"{time.process_time() - start:.2f}")
            save_file(weights, path)


def keep_truths(protocol: Protocol) -> None:
    """Retrain on random halves, and write the truths; finished models and files stay."""
    folder, chunks = prepare(protocol), train_chunks(protocol)
    queries, halves = query_chunks(protocol), random_halves(protocol.subsets, len(chunks))

    def retrain(subsets: range, seed: int) -> np.ndarray:
        weights = train(folder, chunks, np.flatnonzero(halves[subsets.start]).tolist(), 1000 + seed, protocol)
        return minus_losses(folder, weights, queries)[None]

    retraining = Retraining(subsets_SR=halves, seeds=protocol.seeds, together=1, train=retrain)
    reported, others = slice(0, protocol.queries), slice(protocol.queries, None)
    keep_truth(retraining, {truth_of(protocol): reported, truth_of(protocol, "tuning"): others})


def make_task(protocol: Protocol, *, reported: bool = True) -> Task:
    """Declare the Task over the models of `train_models`."""
    folder, chunks = folder_of(protocol), train_chunks(protocol)
    local = LocalModel(
        folder=folder,
        checkpoints=tuple(sorted(folder.glob("seed-*.safetensors"))),
        context=protocol.context,
        shortest=protocol.context,
    )
    declared, queries = (
        causal_language_model(protocol.name, local, documents(protocol)),
        query_chunks(protocol),
    )
    return replace(
        declared,
        train=lambda rows, seed: train(folder, chunks, rows, seed, protocol),
        evaluation_set=queries[: protocol.queries] if reported else queries[protocol.queries :],
    )


def documents(protocol: Protocol) -> list[Document]:
    """Cut the training speeches after a number of characters."""
    return [_document(speech, protocol.characters) for speech in _split(protocol).train]


def train_chunks(protocol: Protocol) -> Chunks:
    """Cut the training set into chunks."""
    return _chunks(documents(protocol), protocol)


def query_chunks(protocol: Protocol) -> list[dict[str, Any]]:
    """Cut the query speeches into chunks, in a fixed random order with the reported ones first."""
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
    return Chunks(texts, tokens, ChunkOptions(protocol.context, shortest=protocol.context))
