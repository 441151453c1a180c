"""What a random model is made of."""

import random
from collections.abc import Callable

from torch import Tensor, nn

from tests.byline.gradients.random_models.view import View


class Part(nn.Module):
    """One step of a random model: from a state to a state of the same shape."""

    def __init__(self, width: int, choose: random.Random) -> None:
        super().__init__()
        self.width, self.choose = width, choose
        self.build()

    def build(self) -> None:
        """Make the parameters; every choice comes from `self.choose`."""

    def forward(self, state: Tensor, view: View) -> Tensor:
        """One step."""
        raise NotImplementedError

    def linear(self, *, bias: bool = True) -> nn.Linear:
        """A square layer."""
        return nn.Linear(self.width, self.width, bias=bias)


PartKind = Callable[[int, random.Random], Part]
