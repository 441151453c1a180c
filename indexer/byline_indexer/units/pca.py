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
    CODES,
    Pca,
    decode_directions,
    encode_directions,
    first_directions,
    fit_scales,
    mixing_matrix,
)
from byline.types import State
from byline_indexer.units.outputs import block_features, block_weights
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
        self._directions: tuple[int, list[Tensor]] | None = None

    def sketch(self, unit: Unit) -> State:
        """Compute Y = X Q of the fit's rows in one block, and the factors of these rows."""
        plan, chosen = self._plan, torch.from_numpy(self._plan.rotation_rows(unit.block))
        features = [self._fitted_on(m.name, unit.block) for m in plan.members]
        weights_B = block_weights(plan, self._workspace, unit.block)[chosen]
        squares_B = torch.stack([f.double().square().sum(dim=1) for f in features]).sum(dim=0)
        scales_B = fit_scales(squares_B, weights_B)
        directions = self._begin(unit.number)
        parts = [self._moved(f) @ Q for f, Q in zip(features, directions, strict=True)]
        sketch_BL = torch.stack(parts).sum(dim=0) * self._moved(scales_B[:, None].float())
        return {"sketch": sketch_BL, "scales": scales_B}

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

    def rotate(self, unit: Unit) -> State:
        """Rotate the features of one block over all members."""
        features = [
            self._moved(block_features(self._workspace, m.name, unit.block)) for m in self._plan.members
        ]
        directions = self._begin(self._pca.passes)
        return {"features": member_parts(features, directions, member_shares(self._plan.members)).sum(dim=1)}

    def _fitted_on(self, member: str, block: int) -> Tensor:
        """Read a member's features of the fit's rows in a block, times its share."""
        names = [each.name for each in self._plan.members]
        share = member_shares(self._plan.members)[names.index(member)]
        chosen = torch.from_numpy(self._plan.rotation_rows(block))
        features_BK = block_features(self._workspace, member, block)[chosen]
        return features_BK * math.sqrt(share * len(names))

    @property
    def _pca(self) -> Pca:
        assert self._plan.recipe.pca is not None
        return self._plan.recipe.pca

    def _last(self, number: int) -> bool:
        return number == self._pca.passes - 1

    def _columns(self, number: int, last: int) -> int:
        widths = [block_features(self._workspace, m.name, 0).shape[1] for m in self._plan.members]
        return self._pca.kept_size(self._plan.rotation_sample, sum(widths)) if self._last(number) else last

    def _sums(self, number: int, member: str) -> Tensor:
        return self._workspace.read(Unit(Stage.GATHER, member, 0, self._plan.pass_name(number)))["sums"]

    def _begin(self, number: int) -> list[Tensor]:
        """Read the start of a pass, or the final directions after all passes: one [K, L] a member."""
        if self._directions is None or self._directions[0] != number:
            self._directions = None
            made = [self._moved(d) for d in (self._first() if number == 0 else self._of_pass(number - 1))]
            self._directions = (number, made)
        return self._directions[1]

    def _first(self) -> list[Tensor]:
        members = self._plan.members
        widths = [block_features(self._workspace, m.name, 0).shape[1] for m in members]
        size = self._pca.sketch_size(self._plan.rotation_sample, sum(widths))
        pairs = zip(members, widths, strict=True)
        return [first_directions(self._pca.seed, member.name, (width, size)) for member, width in pairs]

    def _of_pass(self, number: int) -> list[Tensor]:
        units = [Unit(Stage.DIRECT, m.name, 0, self._plan.pass_name(number)) for m in self._plan.members]
        states = [self._workspace.read(unit) for unit in units]
        found = [decode_directions(state) if CODES in state else state["directions"] for state in states]
        return [directions for directions in found if directions is not None]

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
