"""Seeded dropout masks, and the features that they drop."""
