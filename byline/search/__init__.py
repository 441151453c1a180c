"""Find the rows of an index with the largest and the smallest scores, exactly or through 1-bit codes."""
