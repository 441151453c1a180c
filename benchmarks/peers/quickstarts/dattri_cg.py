"""dattri, the quick start of its README: influence functions by conjugate gradients."""

import torch
from dattri.algorithm import IFAttributorCG
from dattri.task import AttributionTask
from torch import nn
from torch.utils.data import DataLoader


def scores(model, train_set, test_set):
    train_loader = DataLoader(train_set, batch_size=1000)
    test_loader = DataLoader(test_set, batch_size=100)

    def f(params, data_target_pair):
        x, y = data_target_pair
        loss = nn.CrossEntropyLoss()
        yhat = torch.func.functional_call(model, params, x)
        return loss(yhat, y)

    task = AttributionTask(loss_func=f, model=model, checkpoints=model.state_dict())
    attributor = IFAttributorCG(task=task, max_iter=10, regularization=1e-2)
    attributor.cache(train_loader)
    with torch.no_grad():
        return attributor.attribute(train_loader, test_loader).T
