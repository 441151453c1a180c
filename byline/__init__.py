"""Byline: which training examples made a model predict this, and what is each of their owners due."""

__version__ = "0.1.0"
