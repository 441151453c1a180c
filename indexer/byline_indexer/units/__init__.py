"""Units of work: planned, run by workers, and never run twice."""
