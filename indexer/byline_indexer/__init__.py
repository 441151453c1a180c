"""The offline application: reads a training set and leaves an index behind."""
