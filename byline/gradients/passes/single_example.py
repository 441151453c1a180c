"""Take one example's gradient from the trace of a forward pass: exact for every model, since autograd decides all of it.

Parameters that are read by captured operations alone are taken as outer products. All others come from autograd.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from byline.gradients.capture.graph import ForwardGraph, forward_graph
from byline.gradients.capture.operations import Products
from byline.gradients.capture.trace import OperationCall, Trace
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, Use
from byline.gradients.passes.assembly import (
    Arrange,
    BlockIndex,
    arrange_products,
    block_uses,
    full_precision,
    gather_blocks,
    outer_products,
    tensor_use,
    to_dense,
)


class SingleExamplePass:
    """A forward pass of which single values are differentiated.

    Args:
        trace: Its calls.
        values_N: The pass's values.
        index: Attributed parameter blocks.
        parameters: Name -> parameter, of the blocks.
    """

    def __init__(
        self, trace: Trace, values_N: Tensor, index: BlockIndex, parameters: Mapping[str, Tensor]
    ) -> None:
        self._values_N, self._blocks, self._index = values_N, index.blocks, index
        blocks = index.blocks
        graph = forward_graph(values_N)
        uncaptured = _uncaptured(trace.operations, graph, parameters)
        # A block is one or the other: its bias goes with its weight.
        finished_blocks = {self._index[name].name for name in uncaptured}
        kept = [b for b in blocks if b.name not in finished_blocks]
        self._captured = {name for b in kept for name in b.parameters}
        self._calls = [c for c in trace.operations if self._captured & set(c.parameters)]
        self._direct = {
            name: parameters[name] for b in blocks if b.name in finished_blocks for name in b.parameters
        }

    def differentiate(self, example: int, *, keep: bool) -> BatchGradients:
        """Differentiate the value of one example.

        Args:
            example: Its place in the batch.
            keep: Keep the graph, for another example.

        Returns:
            A batch of one.
        """
        with torch.enable_grad():
            value = self._values_N[example]
        if not value.requires_grad:  # this example depends on no attributed parameter
            return BatchGradients(value.detach()[None], gather_blocks(self._blocks, [], 1, value.detach()))
        ends = [call.edge for call in self._calls]
        found = torch.autograd.grad(
            value,
            ends + [get_gradient_edge(p) for p in self._direct.values()],
            retain_graph=keep,
            allow_unused=True,
        )
        with torch.no_grad(), torch.autocast(value.device.type, enabled=False):
            uses = [
                use for call, grad in zip(self._calls, found, strict=False) for use in self._uses(call, grad)
            ]
            uses += self._finished(found[len(ends) :])
            gradients = gather_blocks(self._blocks, uses, 1, value.detach())
        return BatchGradients(value.detach()[None], gradients)

    def _uses(self, call: OperationCall, grad: Tensor | None) -> list[tuple[str, Use]]:
        if grad is None:
            return []
        products = outer_products(call, grad)
        width = self._index.rows[call.weight] if call.weight is not None else 0
        sides = arrange_products(products, _positions(products, len(self._values_N)), width)
        return list(block_uses(call, sides, self._index, self._captured))

    def _finished(self, found: Sequence[Tensor | None]) -> list[tuple[str, Use]]:
        tensors = {
            name: torch.zeros_like(p) if grad is None else to_dense(grad)
            for (name, p), grad in zip(self._direct.items(), found, strict=True)
        }
        one = {name: full_precision(tensor)[None] for name, tensor in tensors.items()}
        blocks = [b for b in self._blocks if b.name in self._direct]
        reached = [b for b in blocks if any(f is not None for f in _of(b, self._direct, found))]
        return [(b.name, tensor_use(b, one)) for b in reached]


def _of(block: Block, direct: Mapping[str, Tensor], found: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [grad for name, grad in zip(direct, found, strict=True) if name in block.parameters]


def _uncaptured(
    calls: Sequence[OperationCall], graph: ForwardGraph, parameters: Mapping[str, Tensor]
) -> set[str]:
    """Parameters with a read that no captured operation covers, or whose operation was overwritten."""
    covered: dict[str, set[int]] = {}
    lost: set[str] = set()
    for call in calls:
        for name in call.parameters:
            covered.setdefault(name, set()).update(range(call.span.begin, call.span.end))
            if call.changed or call.is_lost(graph, parameters):
                lost.add(name)
    return lost | {
        name for name, p in parameters.items() if graph.reads.get(id(p), set()) - covered.get(name, set())
    }


def _positions(products: Products, count: int) -> Arrange:
    """All leading axes are positions of the one example; of a batch's, those that its gradient is not zero at."""
    if count == 1:
        return lambda tensor: tensor.reshape(1, -1, tensor.shape[-1])
    carrier = products.carrier
    active = (carrier.reshape(-1, carrier.shape[-1]) != 0).any(dim=1)
    return lambda tensor: tensor.reshape(-1, tensor.shape[-1])[active][None]
