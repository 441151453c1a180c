"""What OpenMoji's authors are due for a classifier that was trained on their drawings: from prediction to statement."""
