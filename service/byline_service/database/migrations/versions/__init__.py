"""Revisions. Once released, one never changes."""
