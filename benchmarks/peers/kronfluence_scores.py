"""kronfluence 1.0.1 on the digits network: `python kronfluence_scores.py FOLDER METHOD`; see dattri_scores.py."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

folder, method = Path(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
data = np.load(folder / "data.npz")
model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.0),
    nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.0),
    nn.Linear(64, 10),
)  # fmt: skip
model.load_state_dict(torch.load(folder / "weights.pt"))
model.eval()
train = TensorDataset(torch.tensor(data["x"]), torch.tensor(data["y"]))
asked = TensorDataset(torch.tensor(data["query_x"]), torch.tensor(data["query_y"]))


class Digits(Task):
    def compute_train_loss(self, batch, model, sample=False):  # noqa: FBT002 - its signature
        inputs, labels = batch
        logits = model(inputs)
        if sample:
            labels = torch.multinomial(logits.detach().softmax(dim=-1), num_samples=1).flatten()
        return F.cross_entropy(logits, labels, reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)


start = time.perf_counter()
with tempfile.TemporaryDirectory() as kept:
    task = Digits()
    analyzer = Analyzer(
        "digits", prepare_model(model, task), task, cpu=True, output_dir=kept, disable_tqdm=True
    )
    empirical = method == "kronfluence-ekfac-given-labels"
    factors = FactorArguments(strategy="ekfac", use_empirical_fisher=empirical)
    analyzer.fit_all_factors(
        "factors", train, per_device_batch_size=250, factor_args=factors, overwrite_output_dir=True
    )
    prepared = time.perf_counter()
    analyzer.compute_pairwise_scores(
        "scores",
        "factors",
        query_dataset=asked,
        train_dataset=train,
        per_device_query_batch_size=len(asked),
        per_device_train_batch_size=250,
        score_args=ScoreArguments(damping_factor=None),  # 0.1 x each layer's mean eigenvalue
        overwrite_output_dir=True,
    )
    scores = analyzer.load_pairwise_scores("scores")["all_modules"].numpy()
seconds = {"prepare": prepared - start, "queries": time.perf_counter() - prepared, "asked": len(asked)}
np.save(folder / f"{method}.npy", scores)
(folder / f"{method}.json").write_text(json.dumps(seconds))
