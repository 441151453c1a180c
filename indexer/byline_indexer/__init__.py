"""Read a training set and build an index from it: the offline application."""
