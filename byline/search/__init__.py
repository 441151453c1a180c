"""Find the rows of an index with the largest and the smallest scores, exactly or through 1-bit codes.

`searcher` proposes candidates by `scan`, FAISS or `codes`, keeps them in `candidates`, and ranks them by `scores`, in
float64. `recall` measures compressed search by `query_kinds` while an index is written.
"""
