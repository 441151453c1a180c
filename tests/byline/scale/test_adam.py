"""Adam's direction: what torch's Adam really does in its next step on the point alone."""

import copy

import torch

from byline.gradients.checks import build_collector
from byline.models.optimizer_state import adam_state
from byline.projection.base import IdentityProjection
from byline.scale.adam import AdamDirection
from byline.scale.moments import block_moments
from tests.reference import models


def test_the_direction_is_the_next_step_of_a_long_run() -> None:
    case = models.mlp(dropout=0.0)
    optimizer = torch.optim.Adam(case.model.parameters(), lr=1e-3)
    for step in range(200):
        optimizer.zero_grad()
        case.loss(case.model, case.some([step % case.count])).sum().backward()
        optimizer.step()
    trained = copy.deepcopy(case.model)
    for state in optimizer.state.values():
        state["step"] = torch.tensor(1e9)  # the corrections for the moments' start at zero have died out
    moments = adam_state(optimizer, case.model)
    optimizer.zero_grad()
    case.loss(case.model, case.one(4)).sum().backward()
    optimizer.step()
    step_by_name = {
        name: (before - after).detach() / 1e-3
        for (name, before), after in zip(trained.named_parameters(), case.model.parameters(), strict=True)
    }
    collector = build_collector(trained, case.loss, case.sample)
    scaler = AdamDirection().scaler(block_moments(collector.blocks, moments))
    gradients = collector.collect(case.loss, case.one(4), 1)
    expected = torch.cat(
        [b.matrix({n: step_by_name[n][None] for n in b.parameters}).flatten() for b in collector.blocks]
    )
    project = IdentityProjection().projector(collector.blocks, {})
    torch.testing.assert_close(project(scaler.train(gradients))[0], expected, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(project(scaler.query(gradients)), project(gradients))
