"""Parameter blocks: a parameter, or a weight with its bias, seen as one O x I matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

Form = Literal["matrix", "transposed", "vector"]
"""Form of the block's first parameter in its matrix: unchanged, transposed (Hugging Face's Conv1D), or one column."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One matrix of parameters that gradients, curvature and projections treat as a unit."""

    name: str
    """The first parameter's name in `model.named_parameters()`."""
    parameters: tuple[str, ...]
    """The weight, and the bias that is its last column, if it is folded in."""
    shapes: tuple[tuple[int, ...], ...]
    """The parameters' own shapes."""
    form: Form

    @property
    def rows(self) -> int:
        """O: output features, vocabulary, or all numbers of a vector."""
        shape = self.shapes[0]
        return {"matrix": shape[0], "transposed": shape[-1], "vector": prod(shape)}[self.form] if shape else 1

    @property
    def columns(self) -> int:
        """I: input features (a folded bias is one more), or 1 for a vector."""
        return prod(self.shapes[0]) // self.rows + (len(self.parameters) - 1)

    def matrix(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Assemble the block from tensors shaped like its parameters, with leading dimension N.

        Args:
            tensors: Parameter name -> [N, *parameter shape].

        Returns:
            [N, O, I].
        """
        weight = tensors[self.parameters[0]]
        if self.form == "transposed":
            weight = weight.transpose(1, 2)
        columns = self.columns - (len(self.parameters) - 1)
        matrix_NOI = weight.reshape(weight.shape[0], self.rows, columns)
        biases = [tensors[name].reshape(weight.shape[0], self.rows, 1) for name in self.parameters[1:]]
        return torch.cat([matrix_NOI, *biases], dim=2) if biases else matrix_NOI

    def tensors(self, matrix_NOI: Tensor) -> dict[str, Tensor]:
        """Take the block apart again: the inverse of `matrix`.

        Args:
            matrix_NOI: [N, O, I].

        Returns:
            Parameter name -> [N, *parameter shape].
        """
        folded = len(self.parameters) - 1
        weight = matrix_NOI[:, :, : self.columns - folded]
        if self.form == "transposed":
            weight = weight.transpose(1, 2)
        parts = [weight, *(matrix_NOI[:, :, self.columns - folded + n] for n in range(folded))]
        count = len(matrix_NOI)
        return {
            name: part.reshape(count, *shape)
            for name, part, shape in zip(self.parameters, parts, self.shapes, strict=True)
        }
