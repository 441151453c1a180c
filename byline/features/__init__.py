"""Features of training points and of queries: one transform for both sides.

`featurizer` is the only code that makes a feature. `fitting` fits its state in memory, `queries` makes features over all
members, `solving` solves inverses for queries, and `sampling` chooses the training points of a fit.
"""
