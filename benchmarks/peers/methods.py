"""The methods of the other libraries, each with its options, its formula and Byline's recipe."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from benchmarks.peers.dense import Dense
from benchmarks.peers.hessian import Hessian, LastLayer

TRAK_DAMPING, TRAK_SIZE = 3.0, 1024
EKFAC_DAMPING = 0.1
HESSIAN_RIDGE = 0.1
"""Makes the network's Hessian positive definite: its eigenvalues are from -.037 to 3.8."""
SIDE = 32
RPS_STRENGTH = 0.003

Formula = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Method:
    """One method of another library, with its formula and Byline's recipe."""

    name: str
    script: str
    """The file of this directory that runs it."""
    options: dict[str, Any]
    formula: Formula
    ours: "Ours"


@dataclass(frozen=True)
class Ours:
    """A recipe with changes, and changes that switch its projection off, if there are any."""

    recipe: str
    changes: dict[str, Any] = field(default_factory=dict)
    whole: dict[str, Any] | None = None


def methods(dense: Dense) -> list[Method]:
    """List every line of the table, with ridges in the units of each library."""
    return [
        *_plain(dense),
        *_trak(dense),
        *_kronecker(dense),
        *_by_layer(dense),
        *_last_layer(dense),
        *_hessian(dense),
    ]


def _plain(dense: Dense) -> list[Method]:
    formula = cache(dense.grad_dot)
    ours = Ours("grad_dot", whole={"projection": {"kind": "identity"}})
    return [
        Method("dattri grad_dot", "dattri_scores", {"kind": "grad_dot"}, formula, ours),
        Method("bergson grad_dot", "bergson_scores", {"size": None, "damping": None}, formula, ours),
    ]


def _trak(dense: Dense) -> list[Method]:
    # Both libraries divide gradients by the root of the number of parameters and project with +-1 or normal entries;
    # dattri divides by the root of the projection's size as well.
    scale, parameters = dense.trak_scale(), dense.train_loss.shape[1]
    ridge = TRAK_DAMPING * scale / parameters
    formula, bare = (
        cache(lambda: dense.trak(TRAK_DAMPING * scale / TRAK_SIZE)),
        cache(lambda: dense.trak(0.0)),
    )
    ours = Ours("trak")
    return [
        Method(
            "dattri trak",
            "dattri_scores",
            {"kind": "trak", "ridge": ridge / TRAK_SIZE, "size": TRAK_SIZE},
            formula,
            ours,
        ),
        Method("traker", "trak_scores", {"size": TRAK_SIZE, "ridge": ridge}, formula, ours),
        Method("traker, default ridge 0", "trak_scores", {"size": TRAK_SIZE, "ridge": 0.0}, bare, ours),
        Method("traker, default ridge 0, size 512", "trak_scores", {"size": 512, "ridge": 0.0}, bare, ours),
    ]


def _kronecker(dense: Dense) -> list[Method]:
    flat = EKFAC_DAMPING * dense.mean_eigenvalue()
    formula = cache(lambda: dense.ekfac(EKFAC_DAMPING))
    sampled = cache(lambda: dense.ekfac(EKFAC_DAMPING, all_classes=True))
    undamped = cache(lambda: dense.ekfac(1e-8, absolute=True, all_classes=True))
    one_damping = cache(lambda: dense.ekfac(flat, absolute=True))
    changes: dict[str, Any] = {"curvature": {"damping": EKFAC_DAMPING}}
    whole = {"curvature": {"damping": EKFAC_DAMPING}, "projection": {"size": 20_000}}
    exact = {"curvature": {"damping": EKFAC_DAMPING, "labels": "exact"}}
    ours, classes = Ours("ekfac", changes, whole), Ours("ekfac", exact, {**whole, **exact})
    rows = [
        Method(
            "kronfluence ekfac, given labels",
            "kronfluence_scores",
            {"given": True, "damping": None},
            formula,
            ours,
        ),
        Method(
            "kronfluence ekfac", "kronfluence_scores", {"given": False, "damping": None}, sampled, classes
        ),
        Method(
            "kronfluence ekfac, default damping 1e-8",
            "kronfluence_scores",
            {"given": False, "damping": 1e-8},
            undamped,
            Ours("ekfac", exact),
        ),
    ]
    for repaired, name in enumerate(("", ", basis transposed", ", basis and bias repaired")):
        options = {"kind": "ekfac", "damping": flat, "repaired": repaired}
        rows.append(
            Method(f"dattri ekfac{name}", "dattri_scores", options, one_damping, Ours("ekfac", changes))
        )
    return rows


def _by_layer(dense: Dense) -> list[Method]:
    numbers = SIDE * SIDE
    fisher = cache(lambda: dense.fisher_by_layer(1.0, numbers))
    logra = Ours("logra", {"projection": {"size_in": SIDE, "size_out": SIDE}})
    ridge = dense.mean_eigenvalue() * EKFAC_DAMPING
    datainf = cache(lambda: dense.datainf(ridge))
    options = {"kind": "logra", "damping": 1.0, "size": numbers}
    return [
        Method(
            "bergson autocorrelation 32 x 32", "bergson_scores", {"size": SIDE, "damping": 1.0}, fisher, logra
        ),
        Method("dattri logra 32 x 32", "dattri_scores", {**options, "positions": False}, fisher, logra),
        Method(
            "dattri logra, images as sequences",
            "dattri_scores",
            {**options, "positions": True},
            fisher,
            logra,
        ),
        Method(
            "dattri datainf, default ridge",
            "dattri_scores",
            {"kind": "datainf", "ridge": None},
            datainf,
            Ours("datainf"),
        ),
        Method(
            "dattri datainf", "dattri_scores", {"kind": "datainf", "ridge": ridge}, datainf, Ours("datainf")
        ),
    ]


def _last_layer(dense: Dense) -> list[Method]:
    last = LastLayer(dense)
    inverse = cache(lambda: last.inverse(HESSIAN_RIDGE))
    damping = HESSIAN_RIDGE / last.mean_eigenvalue()
    changes = {"layers": "last", "curvature": {"damping": damping}}
    exact, rps = Ours("if_exact", changes, changes), Ours("rps", {}, {})
    rows = [
        Method(
            f"dattri explicit, last layer, batches of {batch}",
            "dattri_scores",
            {"kind": "explicit", "ridge": HESSIAN_RIDGE, "batch": batch},
            inverse,
            exact,
        )
        for batch in (len(dense.x), 250, 50)
    ]
    summed = cache(lambda: last.inverse(HESSIAN_RIDGE, batch=50))
    options = {"kind": "explicit", "ridge": HESSIAN_RIDGE, "batch": 50}
    rows.append(Method("the same against the sum of 20 inverses", "dattri_scores", options, summed, exact))
    strength = {"kind": "rps", "strength": RPS_STRENGTH}
    tuned = cache(lambda: last.tuned_representers(RPS_STRENGTH))
    rows.append(Method("dattri rps", "dattri_scores", strength, tuned, rps))
    rows.append(Method("dattri rps, against ours", "dattri_scores", strength, cache(last.representers), rps))
    return rows


def _hessian(dense: Dense) -> list[Method]:
    hessian = Hessian(dense)
    inverse = cache(lambda: hessian.inverse(HESSIAN_RIDGE))
    strongest = cache(lambda: hessian.strongest(HESSIAN_RIDGE, kept=100, steps=300))
    solved = {"matrix": "hessian", "damping": HESSIAN_RIDGE / hessian.estimated_mean_eigenvalue()}
    changes = {"curvature": {**solved, "sample": None, "tolerance": 1e-6, "iterations": 200}}
    ours = Ours("if_cg", changes, {**changes, "projection": {"kind": "identity"}})
    cg = {"kind": "cg", "ridge": HESSIAN_RIDGE}
    lissa = {"kind": "lissa", "ridge": HESSIAN_RIDGE, "scaling": 20.0, "batch": 50, "steps": 1000}
    arnoldi = {"kind": "arnoldi", "ridge": HESSIAN_RIDGE, "kept": 100}
    return [
        Method("dattri cg, 10 steps (default)", "dattri_scores", {**cg, "steps": 10}, inverse, ours),
        Method("dattri cg, 40 steps", "dattri_scores", {**cg, "steps": 40}, inverse, ours),
        Method("dattri cg, 100 steps", "dattri_scores", {**cg, "steps": 100}, inverse, ours),
        Method("dattri lissa", "dattri_scores", lissa, inverse, ours),
        Method(
            "dattri arnoldi, 100 of 100 (default)",
            "dattri_scores",
            {**arnoldi, "steps": 100},
            strongest,
            ours,
        ),
        Method("dattri arnoldi, 100 of 300", "dattri_scores", {**arnoldi, "steps": 300}, strongest, ours),
    ]
