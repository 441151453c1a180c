"""Does a token's part of a score tell what training on it did? The most influential 1 % of training tokens are masked.

    python -m benchmarks.accuracy.tokens           # retrains the small language model 29 times, about ten minutes
    python -m benchmarks.accuracy.tokens --smoke   # seconds: no figure means anything

The model and the owners' documents are those of `benchmarks.accuracy.finetuning`. For each of eight queries the losses of
1 % of the training tokens are weighed zero, and the fine-tuning runs again from the same weights in the same order. Nothing
else changes: the texts are still read, and the other tokens keep their weights. The figure is the rise of the query's loss
in nats a token. Tokens are chosen by their parts of the scores over all rows, at random, as the tokens of the chunks that
BM25 finds most similar, and as the tokens of the chunks with the largest scores.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

import byline
from benchmarks.report import Targets
from benchmarks.tasks.finetuning.protocol import FULL, SMOKE, Protocol
from benchmarks.tasks.finetuning.runs import fine_tune, minus_losses
from benchmarks.tasks.finetuning.task import TRAINED_ORDER, base_weights, folder_of, make_task, prepare
from byline.attribution.opening import load_featurizer
from byline.baselines import BASELINES, FitOptions
from byline.features.position_scores import training_positions
from byline.features.queries import Featurizer
from byline.task import Item, Task
from byline.tasks.documents import IGNORED

SHARE = 0.01
"""Part of the training tokens that is masked."""
QUERIES = 8
"""Queries, spread over the reported ones."""
RANDOM_MASKS = 4
"""Random choices of tokens, each measured on every query."""
RECIPE = "ekfac_adam"
"""The most accurate recipe of `benchmarks.accuracy.finetuning`."""
TOKENS, CHUNKS, BM25, RANDOM = (
    "tokens by their parts",
    "chunks by their scores",
    "chunks by BM25",
    "random tokens",
)

Places = NDArray[np.int64]
"""[n, 2]: row and position of training tokens."""


@dataclass(frozen=True)
class Masked:
    """The training set with the losses of some tokens taken out."""

    items: Sequence[Item]
    places: Places

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        item = self.items[row]
        labels = item["labels"].clone()
        labels[torch.from_numpy(self.places[self.places[:, 0] == row, 1])] = IGNORED
        return {**item, "labels": labels}


def main() -> int:
    """Choose tokens, retrain, print the table; 1 if a target is missed."""
    smoke = _options().smoke
    torch.set_num_threads(1)
    protocol: Protocol = SMOKE if smoke else FULL
    prepare(protocol)
    task = make_task(protocol)
    items = [task.train_set[row] for row in range(len(task.train_set))]
    queries = list(task.evaluation_set or ())
    chosen = np.linspace(0, len(queries) - 1, 2 if smoke else QUERIES).astype(int).tolist()
    asked = [queries[place] for place in chosen]
    reference = f"benchmarks.tasks.finetuning.task:{'smoke' if smoke else 'base'}_0"
    masks = token_choices(reference, task, items, asked)
    rises = measured_rises(protocol, items, asked, masks)
    report(rises)
    return 0 if smoke else _targets(rises)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    return parser.parse_args()


def token_choices(
    reference: str, task: Task, items: Sequence[Item], queries: Sequence[Item]
) -> dict[str, list[Places]]:
    """Choose 1 % of the training tokens for every query, in each way."""
    places = _every_place(items)
    count = _count(places)
    similar_QR = BASELINES["bm25"].fit(task, FitOptions()).scores(queries)
    choices: dict[str, list[Places]] = {TOKENS: [], BM25: [], CHUNKS: []}
    with tempfile.TemporaryDirectory() as folder:
        index = byline.build(reference, RECIPE, folder, progress=False).index
        featurizer = load_featurizer(index, task)
        for number, query in enumerate(track(queries, description="scores of tokens")):
            parts = _parts(featurizer, items, query)
            flat = np.concatenate([parts_T[1:] for parts_T in parts])
            choices[TOKENS].append(places[np.argsort(-flat, kind="stable")[:count]])
            choices[CHUNKS].append(_of_chunks(np.array([p.sum() for p in parts]), places, count))
            choices[BM25].append(_of_chunks(np.asarray(similar_QR[number]), places, count))
    return choices


def random_choices(items: Sequence[Item]) -> list[Places]:
    """Choose as many training tokens at random, several times."""
    places = _every_place(items)
    orders = [np.random.default_rng(seed).permutation(len(places)) for seed in range(RANDOM_MASKS)]
    return [places[order[: _count(places)]] for order in orders]


def _every_place(items: Sequence[Item]) -> Places:
    return np.array([(row, t) for row, item in enumerate(items) for t in range(1, len(item["input_ids"]))])


def _count(places: Places) -> int:
    return max(1, round(SHARE * len(places)))


def _parts(featurizer: Featurizer, items: Sequence[Item], query: Item) -> list[NDArray[np.float64]]:
    """Parts of every training token in the scores with a query."""
    feature_K = featurizer.query([query], "loss")[0]
    return [parts_T.numpy() for parts_T in training_positions(featurizer, items, feature_K)]


def _of_chunks(scores_R: NDArray[np.floating], places: Places, count: int) -> Places:
    """Take the tokens of the best chunks, chunk after chunk."""
    ranks_R = np.empty(len(scores_R), dtype=int)
    ranks_R[np.argsort(-scores_R, kind="stable")] = np.arange(len(scores_R))
    return places[np.argsort(ranks_R[places[:, 0]], kind="stable")[:count]]


def measured_rises(
    protocol: Protocol, items: Sequence[Item], queries: Sequence[Item], masks: Mapping[str, Sequence[Places]]
) -> dict[str, NDArray[np.float64]]:
    """Retrain without the losses of the chosen tokens: the rise of each query's loss, in nats a token."""
    folder, start = folder_of(protocol), (folder_of(protocol), base_weights(protocol, 0))

    def losses(places: Places) -> NDArray[np.float64]:
        trained = fine_tune(start, Masked(items, places), range(len(items)), TRAINED_ORDER, protocol)
        return -minus_losses(folder, trained, list(queries)).astype(np.float64)

    whole_Q = losses(np.zeros((0, 2), dtype=np.int64))
    at_random = [losses(places) - whole_Q for places in track(random_choices(items), description=RANDOM)]
    rises = {RANDOM: np.mean(at_random, axis=0)}
    for name, each in masks.items():
        rises[name] = np.array(
            [losses(places)[q] - whole_Q[q] for q, places in enumerate(track(each, description=name))]
        )
        print(name, np.round(rises[name], 4), flush=True)
    return rises


def report(rises: Mapping[str, NDArray[np.float64]]) -> None:
    """Print the mean rise of each way to choose, with its standard error over queries."""
    table = Table(
        "1 % of the tokens masked", "rise of the query's loss", "raised", title="Masking training tokens"
    )
    for name, rise_Q in rises.items():
        error = rise_Q.std(ddof=1) / len(rise_Q) ** 0.5
        table.add_row(
            name, f"{rise_Q.mean():+.4f} ± {error:.4f} nats", f"{int((rise_Q > 0).sum())} of {len(rise_Q)}"
        )
    Console(width=120).print(table)


def _targets(rises: Mapping[str, NDArray[np.float64]]) -> int:
    targets = Targets()
    for name in (RANDOM, BM25, CHUNKS):
        more_Q = rises[TOKENS] - rises[name]
        wins = int((more_Q > 0).sum())
        targets.at_least(f"queries with a larger rise than {name}", wins, len(more_Q) // 2 + 1)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
