"""What preconditions a gradient: one module a curvature; and products and solvers that stand alone."""

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
