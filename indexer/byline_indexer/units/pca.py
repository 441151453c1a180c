"""Perform the units of a PCA over all members' features (the mathematics: `byline.projection.pca`).

Nothing here holds more than one block of rows, one member's sums and the members' directions.

Shapes: B rows of a block, K numbers of a member's feature, L of a sketch, k of a stored vector.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from byline.features.featurizer import member_parts
from byline.members import member_shares
from byline.projection.pca import (
    Pca,
    decode_directions,
    encode_directions,
    fit_scales,
    mixing_matrix,
)
from byline.types import State
from byline_indexer.units.outputs import block_features, member_width, wide_features, wide_weights
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


class Rotation:
    """Performs the units that come after all members' features.

    Args:
        plan: The build. Its recipe has a PCA.
        workspace: Where the outputs are.
    """

    def __init__(self, plan: BuildPlan, workspace: Workspace) -> None:
        self._plan, self._workspace = plan, workspace
        self._directions: tuple[int, dict[str, Tensor]] = (-1, {})
        self._known_scales: dict[int, Tensor] = {}

    def sketch(self, unit: Unit) -> State:
        """Compute Y = X Q of the fit's rows in one block, and the factors of these rows."""
        plan, total_BL = self._plan, torch.zeros(())
        for member in plan.members:
            directions_KL = self._begin(unit.number, member.name)
            total_BL = total_BL + self._moved(self._fitted_on(member.name, unit.block)) @ directions_KL
        scales_B = self._scales(unit.block)
        return {"sketch": total_BL * self._moved(scales_B[:, None].float()), "scales": scales_B}

    def _scales(self, block: int) -> Tensor:
        """Compute the factors of the fit's rows in one block, float64 [B], once."""
        if block in self._known_scales:
            return self._known_scales[block]
        lengths = [
            self._fitted_on(m.name, block).double().square().sum(dim=1).cpu() for m in self._plan.members
        ]
        weights_B = wide_weights(self._plan, self._workspace, block)
        self._known_scales[block] = fit_scales(torch.stack(lengths).sum(dim=0), weights_B)
        return self._known_scales[block]

    def gather(self, unit: Unit) -> State:
        """Compute W = X^T Y of one member, float64, in the order of the blocks."""
        sums: Tensor | None = None
        for block in self._plan.rotation_blocks:
            sketch = self._workspace.read(self._plan.sketch_unit(unit.number, block))
            scaled_BK = self._fitted_on(unit.member, block) * sketch["scales"][:, None]
            part_KL = (self._moved(scaled_BK.float()).T @ self._moved(sketch["sketch"])).double()
            sums = part_KL if sums is None else sums.add_(part_KL)
        assert sums is not None
        return {"sums": sums}

    def mix(self, unit: Unit) -> State:
        """Compute S, which turns every member's sums into directions."""
        plan, workspace = self._plan, self._workspace
        units = (plan.sketch_unit(unit.number, block) for block in plan.rotation_blocks)
        sketch_LL = _sum_of_squares(workspace.read(u, ("sketch",))["sketch"].double() for u in units)
        moment_LL = _sum_of_squares(self._sums(unit.number, m.name) for m in plan.members)
        return {
            "mixing": mixing_matrix(sketch_LL, moment_LL, self._columns(unit.number, last=len(sketch_LL)))
        }

    def direct(self, unit: Unit) -> State:
        """Compute one member's directions. They are rounded after the last pass."""
        mixed = self._workspace.read(self._plan.mix_unit(unit.number))["mixing"]
        directions = (self._sums(unit.number, unit.member) @ mixed).float()
        return encode_directions(directions) if self._last(unit.number) else {"directions": directions}

    def part(self, member: str, features_BK: Tensor) -> Tensor:
        """Rotate a member's features: its part of the rows that are stored, float32 [B, k]."""
        directions_Kk = self._begin(self._pca.passes, member)
        part_B1k = member_parts([self._moved(features_BK)], [directions_Kk], [self._share(member)])
        return part_B1k[:, 0]

    def rotate(self, unit: Unit) -> State:
        """Add up the members' parts of one block, in the order of the members."""
        parts = [block_features(self._workspace, m.name, unit.block) for m in self._plan.members]
        return {"features": torch.stack(parts, dim=1).sum(dim=1)}

    def _fitted_on(self, member: str, block: int) -> Tensor:
        """Read a member's features of the fit's rows in a block, times its share."""
        features_BK = wide_features(self._workspace, member, block)
        return features_BK * math.sqrt(self._share(member) * len(self._plan.members))

    def _share(self, member: str) -> float:
        names = [each.name for each in self._plan.members]
        return member_shares(self._plan.members)[names.index(member)]

    @property
    def _pca(self) -> Pca:
        assert self._plan.recipe.pca is not None
        return self._plan.recipe.pca

    def _last(self, number: int) -> bool:
        return number == self._pca.passes - 1

    def _columns(self, number: int, last: int) -> int:
        widths = [member_width(self._plan, self._workspace, m.name) for m in self._plan.members]
        return self._pca.kept_size(self._plan.rotation_sample, sum(widths)) if self._last(number) else last

    def _sums(self, number: int, member: str) -> Tensor:
        return self._workspace.read(Unit(Stage.GATHER, member, 0, self._plan.pass_name(number)))["sums"]

    def _begin(self, number: int, member: str) -> Tensor:
        """Read the start of a pass, or the final directions after all passes, of one member: [K, L].

        Sketches go over all members, whose starts are kept. The final directions serve one member after another.
        """
        final = number == self._pca.passes
        if self._directions[0] != number or (final and member not in self._directions[1]):
            self._directions = (number, {})
        kept = self._directions[1]
        if member not in kept:
            made = self._landmarks(member) if number == 0 else self._of_pass(number - 1, member)
            kept[member] = self._moved(made)
        return kept[member]

    def _landmarks(self, member: str) -> Tensor:
        """Read the rows of X that the first pass begins with, as columns: one member's [K, L]."""
        parts = []
        for block in self._plan.rotation_blocks:
            chosen = torch.from_numpy(self._plan.landmarks(block))
            if len(chosen):
                scales_L1 = self._scales(block)[chosen, None].float()
                parts.append(self._fitted_on(member, block)[chosen] * scales_L1)
        return torch.cat(parts).T.contiguous()

    def _of_pass(self, number: int, member: str) -> Tensor:
        state = self._workspace.read(Unit(Stage.DIRECT, member, 0, self._plan.pass_name(number)))
        decoded = decode_directions(state)
        return state["directions"] if decoded is None else decoded

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._plan.numerics.device)


def _sum_of_squares(parts: Iterator[Tensor]) -> Tensor:
    """Add up A^T A, one part after the other."""
    total: Tensor | None = None
    for part in parts:
        square = part.T @ part
        total = square if total is None else total.add_(square)
    assert total is not None
    return total
