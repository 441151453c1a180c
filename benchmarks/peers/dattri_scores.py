"""dattri 0.3.0 on the digits network: runs in the peers' environment, which has no Byline.

    python dattri_scores.py FOLDER METHOD

Writes METHOD.npy ([queries, training points], positive lowered the query's loss) and METHOD.json (seconds).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

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
queries = int(options["queries"].get(method, len(data["query_y"])))
train = TensorDataset(torch.tensor(data["x"]), torch.tensor(data["y"]))
asked = TensorDataset(torch.tensor(data["query_x"][:queries]), torch.tensor(data["query_y"][:queries]))


def loss(parameters, item):
    image, label = item
    return F.cross_entropy(torch.func.functional_call(model, parameters, image), label)


def margin(parameters, item):
    image, label = item
    logits, right = torch.func.functional_call(model, parameters, image), torch.arange(10) == label
    others = torch.where(right, -torch.inf, logits)
    return torch.where(right, logits, 0.0).sum(dim=-1) - torch.logsumexp(others, dim=-1)


def probability(parameters, item):
    image, label = item
    p = torch.softmax(torch.func.functional_call(model, parameters, image), dim=-1)
    return torch.where(torch.arange(10) == label, p, 0.0).sum(dim=-1)


def loader(items, batch):
    return DataLoader(items, batch_size=batch, shuffle=False)


start = time.perf_counter()
if method == "dattri-trak":
    from dattri.algorithm.trak import TRAKAttributor
    from dattri.task import AttributionTask

    task = AttributionTask(loss_func=margin, model=model, checkpoints=model.state_dict())
    attributor = TRAKAttributor(
        task,
        probability,
        projector_kwargs={"proj_dim": 1024, "proj_max_batch_size": 64, "device": "cpu"},
        regularization=options["dattri_ridge"],
    )
    attributor.cache(loader(train, 256))
    prepared = time.perf_counter()
    scores = attributor.attribute(loader(asked, 256))
else:
    from dattri.algorithm.influence_function import IFAttributorCG, IFAttributorEKFAC
    from dattri.algorithm.tracin import TracInAttributor
    from dattri.task import AttributionTask

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    if method == "dattri-grad-dot":
        attributor = TracInAttributor(task, weight_list=torch.ones(1), normalized_grad=False)
        attributor.projector_kwargs = None  # exact gradients
        prepared = time.perf_counter()
        scores = attributor.attribute(loader(train, 256), loader(asked, 256))
    else:
        if method == "dattri-cg":
            attributor = IFAttributorCG(task, max_iter=20, regularization=options["cg_ridge"])
            attributor.cache(loader(train, len(train)))  # one batch: it sums the inverses of batches
        else:
            attributor = IFAttributorEKFAC(task, damping=options["ekfac_damping"])
            attributor.cache(loader(train, 256))
        prepared = time.perf_counter()
        scores = attributor.attribute(loader(train, len(train)), loader(asked, len(asked)))
seconds = {"prepare": prepared - start, "queries": time.perf_counter() - prepared, "asked": queries}
np.save(folder / f"{method}.npy", scores.detach().T.numpy())
(folder / f"{method}.json").write_text(json.dumps(seconds))
