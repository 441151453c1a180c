"""What ensembles cost and bring; see `__main__`."""
