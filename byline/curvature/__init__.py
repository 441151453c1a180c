"""Curvatures that precondition gradients, one module each, with products and solvers that work alone."""

from byline.curvature.products import ggn_products, hessian_products
from byline.curvature.solvers import (
    LissaOptions,
    RitzPairs,
    Solution,
    conjugate_gradients,
    lanczos,
    largest_eigenvalue,
    lissa,
)

__all__ = [
    "LissaOptions",
    "RitzPairs",
    "Solution",
    "conjugate_gradients",
    "ggn_products",
    "hessian_products",
    "lanczos",
    "largest_eigenvalue",
    "lissa",
]
