"""Networks of an ensemble's members: weights, adapters, masks, and the gradients taken of them."""
