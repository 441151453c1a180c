"""Input and output of every library's script. Runs in the peers' environment, which has no Byline."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset


@dataclass(frozen=True)
class Given:
    """The trained network, the data, and the options of the method."""

    folder: Path
    options: dict[str, Any]
    model: nn.Module
    train: TensorDataset
    asked: TensorDataset

    def write(self, scores_QN: Any, prepared: float) -> None:
        """Write scores; `prepared` is the clock before the first query."""
        write(self.folder, scores_QN, (prepared - START, clock() - prepared))


def write(folder: Path, scores_QN: Any, seconds: tuple[float, float]) -> None:
    """Write scores, and CPU seconds to prepare and for all queries."""
    (folder / "seconds.json").write_text(json.dumps(dict(zip(("prepare", "queries"), seconds, strict=True))))
    np.save(folder / "scores.npy", np.asarray(scores_QN))


def clock() -> float:
    """Read the CPU seconds of this process, so that other work on the machine does not count."""
    return time.process_time()


def given() -> Given:
    """Read the folder that the command line names."""
    global START  # noqa: PLW0603 - the clock of a library starts after its import
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = Path(sys.argv[1])
    data = np.load(folder / "data.npz")
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.0),
        nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.0),
        nn.Linear(64, 10),
    )  # fmt: skip
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    model.eval()
    options = json.loads((folder / "options.json").read_text())
    train = TensorDataset(torch.tensor(data["x"]), torch.tensor(data["y"]))
    asked = TensorDataset(torch.tensor(data["query_x"]), torch.tensor(data["query_y"]))
    START = clock()
    return Given(folder, options, model, train, asked)


START = 0.0
