"""From features of a batch to k numbers an example: one module a projection."""
