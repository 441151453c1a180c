"""How well scores predict retraining."""
