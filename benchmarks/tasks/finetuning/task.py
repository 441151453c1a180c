"""The Task: chunks of addresses, whose owners are the presidents; one Task for each pretrained model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from benchmarks.tasks import CACHE
from benchmarks.tasks.finetuning.protocol import FULL, SMOKE, Protocol, write_folder
from benchmarks.tasks.finetuning.runs import Weights, fine_tune, pretrain
from benchmarks.tasks.finetuning.texts import texts
from benchmarks.tasks.sotu.speeches import Speech
from benchmarks.tasks.stamp import stamped, write_stamp
from byline.task import Checkpoint, Item, Task
from byline.tasks.causal_lm import causal_language_model
from byline.tasks.chunks import ChunkOptions, Chunks
from byline.tasks.documents import Document
from byline.tasks.pretrained import LocalModel
from byline.tasks.tokenizer import Tokens

TRAINED_ORDER = 0
"""Order of the run that is attributed: the first of the truth's."""


def folder_of(protocol: Protocol) -> Path:
    """Name the folder of everything that a protocol makes."""
    return CACHE / protocol.name


def prepare(protocol: Protocol) -> None:
    """Make tokenizer, pretrained models and the runs that are attributed; finished files stay."""
    folder = folder_of(protocol)
    if not stamped(folder, protocol):
        parts = texts(protocol)
        both = [s.text for s in parts.pretraining] + [s.text for s in parts.train]
        write_folder(folder, both, protocol)
        write_stamp(folder, protocol)
    for base in range(protocol.bases):
        _prepare_base(protocol, base)


def base_weights(protocol: Protocol, base: int) -> Weights:
    """Read the weights that fine-tuning begins with."""
    return load_file(folder_of(protocol) / f"base-{base}.safetensors")


def run_of(protocol: Protocol, base: int) -> Path:
    """Name the folder of a fine-tuning's checkpoints."""
    return folder_of(protocol) / f"run-{base}"


def _prepare_base(protocol: Protocol, base: int) -> None:
    folder, run = folder_of(protocol), run_of(protocol, base)
    path = folder / f"base-{base}.safetensors"
    if not path.exists():
        save_file(pretrain(folder, _pretraining_chunks(protocol), 50 + base, protocol), path)
    if (run / "finished").exists():
        return
    run.mkdir(exist_ok=True)
    items = train_chunks(protocol)

    def save(step: int, weights: Weights, moments: Weights) -> None:
        save_file(weights, run / f"step-{step:04d}.safetensors")
        save_file(moments, run / f"moments-{step:04d}.safetensors")

    start = folder, base_weights(protocol, base)
    fine_tune(start, items, range(len(items)), TRAINED_ORDER, protocol, save)
    (run / "finished").touch()


def make_task(protocol: Protocol, base: int = 0, *, reported: bool = True, run: bool = False) -> Task:
    """Declare the Task of one fine-tuned model.

    Args:
        protocol: The case.
        base: Number of the pretrained model.
        reported: Evaluate the reported queries, not the tuning queries.
        run: Attribute all checkpoints of the run, not the last alone.
    """
    folder, chunks = folder_of(protocol), train_chunks(protocol)
    local = LocalModel(
        folder=folder,
        context=protocol.context,
        shortest=protocol.context,
        checkpoints=(_last(protocol, base),),
    )
    declared = causal_language_model(f"{protocol.name}-{base}", local, documents(protocol))
    start = folder, base_weights(protocol, base)
    queries = query_chunks(protocol)
    return replace(
        declared,
        checkpoints=checkpoints(protocol, base) if run else checkpoints(protocol, base)[-1:],
        train=lambda rows, seed: fine_tune(start, chunks, rows, seed, protocol),
        evaluation_set=queries[: protocol.queries] if reported else queries[protocol.queries :],
    )


def checkpoints(protocol: Protocol, base: int) -> list[Checkpoint]:
    """List the checkpoints of a run with steps, first learning rate and moments, in the order of steps."""
    return [
        Checkpoint(
            weights=path,
            learning_rate=protocol.learning_rate,
            steps=int(path.stem.removeprefix("step-")),
            optimizer_state=path.with_name(path.name.replace("step", "moments")),
        )
        for path in sorted(run_of(protocol, base).glob("step-*.safetensors"))
    ]


def _last(protocol: Protocol, base: int) -> Path:
    weights = checkpoints(protocol, base)[-1].weights
    assert isinstance(weights, Path)
    return weights


def documents(protocol: Protocol) -> list[Document]:
    """Cut the training addresses, so that each owner has as many characters as the chunks need."""
    parts, left = [], {s.president: protocol.chunks for s in texts(protocol).train}
    tokens = Tokens(folder_of(protocol))
    for speech in texts(protocol).train:
        _, spans = tokens.encode(speech.text)
        kept = min(left[speech.president], -(-protocol.chunks // 2), len(spans) // protocol.context)
        if kept:
            left[speech.president] -= kept
            parts.append(_document(speech, spans[kept * protocol.context - 1][1]))
    return parts


def train_chunks(protocol: Protocol) -> Chunks:
    """Cut the training set into chunks."""
    return _chunks(documents(protocol), protocol)


def query_chunks(protocol: Protocol) -> list[Item]:
    """Cut the query addresses into chunks, in a fixed random order with the reported ones first."""
    chunks = _chunks([_document(speech, None) for speech in texts(protocol).queries], protocol)
    order = np.random.default_rng(2).permutation(len(chunks))
    return [chunks[int(row)] for row in order[: protocol.queries + protocol.tuning]]


def _pretraining_chunks(protocol: Protocol) -> list[Item]:
    chunks = _chunks([_document(speech, None) for speech in texts(protocol).pretraining], protocol)
    order = np.random.default_rng(3).permutation(len(chunks))
    return [chunks[int(row)] for row in order[: protocol.pretraining_chunks]]


def _document(speech: Speech, characters: int | None) -> Document:
    return Document(
        text=speech.text[:characters],
        id=f"{speech.year}-{speech.president.lower().replace(' ', '-')}",
        owner=speech.president,
        license="PDDL-1.0",
        attributes={"year": speech.year},
    )


def _chunks(given: list[Document], protocol: Protocol) -> Chunks:
    tokens = Tokens(folder_of(protocol))
    return Chunks(given, tokens, ChunkOptions(protocol.context, shortest=protocol.context))


def base_0() -> Task:
    """Declare the last checkpoint of the first model."""
    return make_task(FULL, 0)


def smoke_0() -> Task:
    """Declare `base_0` of the smallest protocol."""
    return make_task(SMOKE, 0)


def base_1() -> Task:
    """Declare the last checkpoint of the second model."""
    return make_task(FULL, 1)


def base_2() -> Task:
    """Declare the last checkpoint of the third model."""
    return make_task(FULL, 2)


def run_0() -> Task:
    """Declare all checkpoints of the first model's run."""
    return make_task(FULL, 0, run=True)


def run_1() -> Task:
    """Declare all checkpoints of the second model's run."""
    return make_task(FULL, 1, run=True)


def run_2() -> Task:
    """Declare all checkpoints of the third model's run."""
    return make_task(FULL, 2, run=True)


def smoke_run_0() -> Task:
    """Declare all checkpoints of a run of the smallest protocol."""
    return make_task(SMOKE, 0, run=True)
