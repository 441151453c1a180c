"""Accuracy: how well scores predict retraining."""
