"""Parts through which the examples of a batch influence one another: only a refusal is right."""

import torch
from torch import Tensor, nn

from tests.byline.gradients.random_models.part import Part
from tests.byline.gradients.random_models.view import View


class Influence(Part):
    """A mean, a maximum or statistics over the batch; a path that large batches alone take."""

    def build(self) -> None:
        self.layer, self.rare = self.linear(), self.linear()
        self.norm = nn.BatchNorm1d(self.width, track_running_stats=False)
        self.how = self.choose.choice(["mean", "maximum", "statistics", "large batch", "neighbor", "softmax"])

    def forward(self, state: Tensor, view: View) -> Tensor:
        h, axis = self.layer(state), view.first_axis()
        if self.how == "mean":
            return torch.tanh(h - h.mean(axis, keepdim=True))
        if self.how == "maximum":
            return torch.tanh(h - h.amax(axis, keepdim=True))
        if self.how == "statistics":
            grid = view.grid(h)
            return view.back(
                self.norm(torch.cat([grid, grid.sin()], 1).transpose(1, 2)).transpose(1, 2)[:, : view.length]
            )
        if self.how == "large batch":
            return torch.tanh(self.rare(h) if view.count > 3 else h)
        if self.how == "softmax":
            return h.softmax(axis)
        return torch.tanh(h + h.roll(1, axis))


PARTS = (Influence,)
