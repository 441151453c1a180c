"""Show answers and indexes in notebooks, as HTML cards and as pandas tables."""
