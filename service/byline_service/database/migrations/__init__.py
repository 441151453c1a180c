"""Alembic's environment and the revisions, one linear history."""
