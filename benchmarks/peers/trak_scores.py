"""traker 0.3.2 on the digits network: `python trak_scores.py FOLDER METHOD`; see dattri_scores.py."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from trak import TRAKer

folder, method = Path(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
data = np.load(folder / "data.npz")
options = json.loads((folder / "options.json").read_text())
model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.0),
    nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.0),
    nn.Linear(64, 10),
)  # fmt: skip
model.load_state_dict(torch.load(folder / "weights.pt"))
model.eval()
train = torch.tensor(data["x"]), torch.tensor(data["y"])
asked = torch.tensor(data["query_x"]), torch.tensor(data["query_y"])

start = time.perf_counter()
with tempfile.TemporaryDirectory() as kept:
    ridge = options["traker_ridge"] if method == "traker-damped" else 0.0
    traker = TRAKer(
        model=model,
        task="image_classification",
        train_set_size=len(train[0]),
        save_dir=kept,
        device="cpu",
        proj_dim=1024 if method == "traker-damped" else 512,
        use_half_precision=False,
        lambda_reg=ridge,
    )
    traker.load_checkpoint(model.state_dict(), model_id=0)
    for first in range(0, len(train[0]), 250):
        part = [part[first : first + 250] for part in train]
        traker.featurize(batch=part, num_samples=len(part[0]))
    traker.finalize_features()
    prepared = time.perf_counter()
    traker.start_scoring_checkpoint(
        exp_name="digits", checkpoint=model.state_dict(), model_id=0, num_targets=len(asked[0])
    )
    traker.score(batch=asked, num_samples=len(asked[0]))
    scores = np.array(traker.finalize_scores(exp_name="digits"))
seconds = {"prepare": prepared - start, "queries": time.perf_counter() - prepared, "asked": len(asked[0])}
np.save(folder / f"{method}.npy", scores.T)
(folder / f"{method}.json").write_text(json.dumps(seconds))
