"""Units of work, which workers run and no build runs twice."""
