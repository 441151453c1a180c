"""Per-example gradients by hooks, as sums of outer products."""
