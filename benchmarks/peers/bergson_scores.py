"""bergson 2.5.1 on the digits network: `python bergson_scores.py FOLDER`; see network.py.

Its commands take Hugging Face language models alone; its collectors take any network of linear layers whose inputs
are [batch, positions, width]. An image is a sequence of one position here. Training gradients are collected, projected
and saved as an index by its own code; queries are traced and scored by its Attributor.

Options: `size`, None for whole gradients, or the root of the numbers a layer; `damping`, None for no preconditioner.
"""

import tempfile
from pathlib import Path

import torch
from bergson import Attributor, GradientProcessor
from bergson.collector.gradient_collectors import TraceCollector
from bergson.config import InversionConfig
from bergson.data import create_index
from bergson.process_autocorrelation import process_autocorrelation_matrices
from network import clock, given
from torch.nn import functional as F


def backward(model, images, labels):
    F.cross_entropy(model(images.unsqueeze(1)).squeeze(1), labels, reduction="sum").backward()


job = given()
size, damping = job.options["size"], job.options["damping"]
with tempfile.TemporaryDirectory() as kept:
    index = Path(kept)
    processor = GradientProcessor(projection_dim=size, include_bias=True)
    collector = TraceCollector(model=job.model, processor=processor, device="cpu", dtype=torch.float32)
    with collector:
        for first in range(0, len(job.train), 250):
            backward(job.model, *job.train[first : first + 250])
    gradients = {name: torch.cat(parts) for name, parts in collector.mod_grads.items()}
    sizes = {name: part.shape[1] for name, part in gradients.items()}
    rows = create_index(index, len(job.train), sizes, "float32")
    rows[:] = torch.cat(list(gradients.values()), dim=1).numpy()
    rows.flush()
    if damping is not None:
        moments = {name: part.T @ part for name, part in gradients.items()}
        process_autocorrelation_matrices(processor, moments, len(job.train), sizes, rank=0)
    processor.save(index)
    attributor = Attributor(
        index,
        inversion_cfg=InversionConfig(damping_factor=damping or 0.0),
        hessian_path=None if damping is None else index,
    )
    prepared = clock()
    with attributor.trace(job.model, k=None) as found:
        backward(job.model, *job.asked[:])
    scores = torch.empty_like(found.scores).scatter(1, found.indices, found.scores)
job.write(scores.numpy(), prepared)
