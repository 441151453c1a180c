"""Worked examples: a code language model (the demo) and a digit classifier."""
