"""Every projection is the same linear map on every path, and keeps inner products as it promises."""

import numpy as np
import pytest
import torch

from byline.gradients.outer_products.tensors import dense_gradients
from byline.projection import dense as dense_module
from byline.projection.base import IdentityProjection, ProjectionSpec
from byline.projection.dense import DenseProjection
from byline.projection.factorised import FactorisedProjection
from byline.projection.masking import FactorisedGrassProjection, GrassProjection, MaskProjection
from byline.projection.sjlt import SjltProjection

SPECS: dict[str, ProjectionSpec] = {
    "identity": IdentityProjection(),
    "dense": DenseProjection(size=70),
    "gaussian": DenseProjection(size=70, entries="gaussian"),
    "sjlt": SjltProjection(size=50, nonzeros=3),
    "mask": MaskProjection(size=40),
    "grass": GrassProjection(kept=60, size=20),
    "factorised_grass": FactorisedGrassProjection(kept_in=3, kept_out=4, size=7),
    "factorised": FactorisedProjection(size_in=3, size_out=4),
}


@pytest.mark.parametrize("name", SPECS)
def test_factors_and_written_out_gradients_project_alike(name: str, collected: tuple) -> None:
    blocks, gradients = collected
    project = SPECS[name].projector(blocks, {})
    for n in range(2):
        tensors = {}
        for block in blocks:
            matrix = gradients.blocks[block.name].dense()[n]
            extra = len(block.parameters) - 1
            weight = matrix[:, : matrix.shape[1] - extra]
            for parameter, shape, part in zip(
                block.parameters,
                block.shapes,
                [weight, *matrix.T[matrix.shape[1] - extra :]],
                strict=True,
            ):
                tensors[parameter] = part.reshape(shape)
        written_out = dense_gradients(blocks, tensors)
        assert written_out.objective_N.dtype == torch.float32
        torch.testing.assert_close(
            project(written_out)[0].double(), project(gradients)[n].double(), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", SPECS)
def test_is_the_same_again_and_row_by_row(name: str, collected: tuple) -> None:
    blocks, gradients = collected
    phi = SPECS[name].projector(blocks, {})(gradients)
    torch.testing.assert_close(SPECS[name].projector(blocks, {})(gradients), phi, rtol=0, atol=0)
    assert phi.shape == (len(gradients), sum(SPECS[name].projector(blocks, {}).widths.values()))


@pytest.mark.parametrize("name", ["dense", "gaussian", "sjlt"])
def test_chunks_change_nothing(name: str, collected: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, gradients = collected
    whole = SPECS[name].projector(blocks, {})(gradients)
    monkeypatch.setattr(dense_module, "CHUNK", 100)
    torch.testing.assert_close(SPECS[name].projector(blocks, {})(gradients), whole)


@pytest.mark.parametrize(
    ("spec", "slack"),
    [
        (DenseProjection(size=4096), 6),
        (DenseProjection(size=4096, entries="gaussian"), 6),
        (SjltProjection(size=4096), 6),
        (GrassProjection(kept=1 << 20, size=4096), 6),
        (MaskProjection(size=1 << 20), 1e-6),
        (FactorisedGrassProjection(kept_in=512, kept_out=512, size=1 << 18), 1e-6),
        (FactorisedProjection(size_in=512, size_out=512), 1e-6),
    ],
)
def test_inner_products_are_kept(spec: ProjectionSpec, slack: float, collected: tuple) -> None:
    blocks, gradients = collected
    exact = gradients.dense().numpy()
    phi = spec.projector(blocks, {})(gradients).numpy()
    norms = np.linalg.norm(exact, axis=1)
    error = np.abs(phi @ phi.T - exact @ exact.T) / np.outer(norms, norms)
    assert error.max() < slack / 4096**0.5
