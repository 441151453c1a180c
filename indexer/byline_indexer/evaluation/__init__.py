"""Measure an index: retrain on subsets, compare, write the quality card.

Letters: R training points, J rows of the index (points, or groups of them), S subsets, T seeds, E items of the
evaluation set, Q reported queries.
"""
