"""Words that requests, answers and the code behind them share; importing them costs nothing."""

from typing import Literal

Direction = Literal["proponents", "opponents", "both"]
"""Which end of the scores is wanted."""
ErrorScope = Literal["within_checkpoint", "between_checkpoints"]
"""What a standard error covers: masks of one checkpoint miss that between trained models."""
Similarity = Literal["bm25", "representation"]
"""Baselines that rank training points by how alike they are to a query."""
