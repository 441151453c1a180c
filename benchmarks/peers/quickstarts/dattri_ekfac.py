"""dattri, after the quick start of its README, with EK-FAC in place of conjugate gradients."""

import torch
from dattri.algorithm.influence_function import IFAttributorEKFAC
from dattri.task import AttributionTask
from torch import nn
from torch.utils.data import DataLoader


def scores(model, train_set, test_set):
    train_loader = DataLoader(train_set, batch_size=100)
    test_loader = DataLoader(test_set, batch_size=100)

    def f(params, data_target_pair):
        x, y = data_target_pair
        loss = nn.CrossEntropyLoss()
        yhat = torch.func.functional_call(model, params, x)
        return loss(yhat, y)

    task = AttributionTask(loss_func=f, model=model, checkpoints=model.state_dict())
    attributor = IFAttributorEKFAC(task=task, module_name=["0", "3", "6"], damping=0.1)
    attributor.cache(train_loader)
    with torch.no_grad():
        return attributor.attribute(train_loader, test_loader).T
