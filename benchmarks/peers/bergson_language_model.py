"""bergson 2.5.1 on a small GPT-2: `python bergson_language_model.py FOLDER`; its own collection throughout.

Options: `size`, None for whole gradients, or the root of the numbers a layer; `damping`, None for no preconditioner.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from bergson import GradientProcessor, IndexConfig, InMemoryCollector
from bergson.collector.collector import CollectorComputer
from bergson.config import InversionConfig
from bergson.hessians.preconditioner import DensePreconditioner
from datasets import Dataset
from network import clock, write
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

torch.set_num_threads(1)
folder = Path(sys.argv[1])
options = json.loads((folder / "options.json").read_text())
model = GPT2LMHeadModel._from_config(GPT2Config.from_pretrained(folder), attn_implementation="eager").eval()
model.load_state_dict(load_file(folder / "weights.safetensors"), strict=False)
model.tie_weights()
tokens = np.load(folder / "tokens.npz")


def collected(ids, processor, *, moments):
    data = Dataset.from_dict({"input_ids": ids.tolist()})
    config = IndexConfig(str(folder / "run"), loss_reduction="mean", include_bias=True)
    config.partial_run_path.mkdir(exist_ok=True)
    collector = InMemoryCollector(
        model=model.base_model, data=data, cfg=config, processor=processor, skip_hessians=not moments
    )
    batches = [list(range(first, min(first + 16, len(ids)))) for first in range(0, len(ids), 16)]
    CollectorComputer(
        model, data, collector=collector, batches=batches, cfg=config
    ).run_with_collector_hooks()
    return collector.gradients


start = clock()
processor = GradientProcessor(projection_dim=options["size"], include_bias=True)
train = collected(tokens["train"], processor, moments=options["damping"] is not None)
preconditioner = None
if options["damping"] is not None:
    inversion = InversionConfig(damping_factor=options["damping"])
    preconditioner = DensePreconditioner.from_processor(processor, inversion_cfg=inversion)
prepared = clock()
asked = collected(
    tokens["queries"],
    GradientProcessor(projection_dim=options["size"], include_bias=True),
    moments=False,
)
if preconditioner is not None:
    asked = preconditioner.apply(asked)
scores = sum(asked[name] @ train[name].T for name in train)
write(folder, scores.numpy(), (prepared - start, clock() - prepared))
