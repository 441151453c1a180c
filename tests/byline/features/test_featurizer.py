"""An inner product of two features is the mean of the members' scores."""

import torch

from byline.features.featurizer import MemberFeaturizer, Side, combine
from byline.features.queries import Featurizer
from byline.models.member import MemberModel
from byline.task import Task
from tests.byline.features.conftest import RECIPE, fitted


def test_an_inner_product_is_the_mean_of_the_members_scores(task: Task, featurizer: Featurizer) -> None:
    items = [task.train_set[row] for row in range(4)]
    whole = featurizer.query(items)
    states = fitted(task, RECIPE)
    scores = []
    for member in featurizer.members:
        model = MemberModel.load(task, RECIPE, member)
        one = MemberFeaturizer(RECIPE, model.blocks, states[member.name])
        feature = one.feature(one.project(model.gradients(items), Side.QUERY), Side.QUERY)
        scores.append(feature @ feature.T)
    torch.testing.assert_close(whole @ whole.T, torch.stack(scores).mean(dim=0))


def test_combining() -> None:
    parts = [torch.ones(2, 3), torch.full((2, 1), 2.0)]
    torch.testing.assert_close(combine(parts, [0.5, 0.5]) * 2**0.5, torch.tensor([[1.0, 1, 1, 2]] * 2))
