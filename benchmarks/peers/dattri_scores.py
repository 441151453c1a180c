"""dattri 0.3.0 on the digits network: `python dattri_scores.py FOLDER`; see network.py.

Options: `kind` names one of the functions below; the others are its own.
"""

import torch
from dattri.algorithm.influence_function import (
    IFAttributorArnoldi,
    IFAttributorCG,
    IFAttributorDataInf,
    IFAttributorEKFAC,
    IFAttributorExplicit,
    IFAttributorLiSSA,
)
from dattri.algorithm.logra import LoGraAttributor
from dattri.algorithm.rps import RPSAttributor
from dattri.algorithm.tracin import TracInAttributor
from dattri.algorithm.trak import TRAKAttributor
from dattri.func import fisher
from dattri.task import AttributionTask
from network import clock, given
from torch.nn import functional as F
from torch.utils.data import DataLoader

job = given()
LAST = ["6.weight", "6.bias"]


def loss(parameters, item):
    image, label = item
    return F.cross_entropy(torch.func.functional_call(job.model, parameters, image), label.long())


def margin(parameters, item):
    image, label = item
    logits, right = torch.func.functional_call(job.model, parameters, image), torch.arange(10) == label
    others = torch.where(right, -torch.inf, logits)
    return torch.where(right, logits, 0.0).sum(dim=-1) - torch.logsumexp(others, dim=-1)


def probability(parameters, item):
    image, label = item
    p = torch.softmax(torch.func.functional_call(job.model, parameters, image), dim=-1)
    return torch.where(torch.arange(10) == label, p, 0.0).sum(dim=-1)


def logits_loss(logits, labels):
    return F.cross_entropy(logits, labels)


def hooked_loss(model, item, device):
    image, label = item
    return F.cross_entropy(model(image.to(device)), label.to(device))


def loader(items, batch=None):
    return DataLoader(items, batch_size=batch or len(items), shuffle=False)


def task(function=loss, **changes):
    return AttributionTask(loss_func=function, model=job.model, checkpoints=job.model.state_dict(), **changes)


def trak(ridge, size):
    attributor = TRAKAttributor(
        task(margin),
        probability,
        projector_kwargs={"proj_dim": size, "proj_max_batch_size": 64, "device": "cpu"},
        regularization=ridge,
    )
    attributor.cache(loader(job.train, 250))
    return clock(), attributor.attribute(loader(job.asked))


def grad_dot():
    attributor = TracInAttributor(task(), weight_list=torch.ones(1), normalized_grad=False)
    attributor.projector_kwargs = None  # exact gradients
    return clock(), attributor.attribute(loader(job.train, 250), loader(job.asked))


def explicit(ridge, batch):
    return _asked(IFAttributorExplicit(task(), layer_name=LAST, regularization=ridge), batch)


def cg(ridge, steps):
    return _asked(IFAttributorCG(task(), max_iter=steps, regularization=ridge))


def lissa(ridge, scaling, batch, steps):
    return _asked(
        IFAttributorLiSSA(
            task(), batch_size=batch, recursion_depth=steps, damping=ridge / scaling, scaling=scaling
        )
    )


def arnoldi(ridge, kept, steps):
    return _asked(IFAttributorArnoldi(task(), proj_dim=kept, max_iter=steps, regularization=ridge))


def datainf(ridge):
    return _asked(IFAttributorDataInf(task(), **({} if ridge is None else {"regularization": ridge})))


def ekfac(damping, repaired):
    """Score by EK-FAC; `repaired` 1 transposes the eigenvectors, 2 also moves biases beside their weights."""
    if repaired >= 1:
        decompose = fisher.estimate_eigenvector
        fisher.estimate_eigenvector = lambda moments: {
            name: (q_a.T, q_s.T) for name, (q_a, q_s) in decompose(moments).items()
        }
    kind = BesideTheirRows if repaired >= 2 else IFAttributorEKFAC
    return _asked(kind(task(), damping=damping), cached=250)


class BesideTheirRows(IFAttributorEKFAC):
    def transform_test_rep(self, ckpt_idx, test_rep):
        order, first = [], 0
        for module in self.name_to_module.values():
            out, width = module.weight.shape
            weights = torch.arange(first, first + out * width).view(out, width)
            biases = torch.arange(first + out * width, first + out * width + out)[:, None]
            order.append(torch.cat([weights, biases], dim=1).flatten())
            first += out * width + out
        order = torch.cat(order)
        solved = super().transform_test_rep(ckpt_idx, test_rep[:, order])
        return torch.empty_like(solved).index_copy(1, order, solved)


def rps(strength):
    attributor = RPSAttributor(
        task(loss, target_func=logits_loss), final_linear_layer_name="6", l2_strength=strength
    )
    attributor.cache(loader(job.train))
    return clock(), attributor.attribute(loader(job.train), loader(job.asked))


class AsSequences(torch.nn.Module):
    """Turn every image into a sequence of one position."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images.reshape(-1, 1, 64)).squeeze(1)


def logra(damping, size, positions):
    """Score by LoGra; `positions` passes sequences of length one, since rows without positions raise."""
    model = AsSequences(job.model) if positions else job.model
    whole = AttributionTask(loss_func=hooked_loss, model=model, checkpoints=model.state_dict())
    attributor = LoGraAttributor(whole, damping=damping, proj_dim=size, offload="none")
    attributor.cache(loader(job.train, 250))
    return clock(), attributor.attribute(loader(job.train, 250), loader(job.asked))


def _asked(attributor, batch=None, cached=None):
    attributor.cache(loader(job.train, batch or cached))
    prepared = clock()
    # Without no_grad, solvers record autograd's graph through all their steps: 19 GB at 40 steps for 100 queries.
    with torch.no_grad():
        return prepared, attributor.attribute(loader(job.train), loader(job.asked, 25))


KINDS = [trak, grad_dot, explicit, cg, lissa, arnoldi, datainf, ekfac, rps, logra]
method = {function.__name__: function for function in KINDS}[job.options.pop("kind")]
prepared, scores = method(**job.options)
job.write(scores.detach().T, prepared)
