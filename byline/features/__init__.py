"""From gradients to features: the transform that a training point and a query share."""
