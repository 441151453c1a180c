"""A collective licence from index to payment."""
