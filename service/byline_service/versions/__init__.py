"""Versions of indexes and their aliases: registration, verification, and switches without a lost request."""
