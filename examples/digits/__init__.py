"""A small classifier of handwritten digits."""
