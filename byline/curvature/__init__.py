"""What preconditions a gradient: one module a curvature."""
