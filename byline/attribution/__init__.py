"""Answers questions about an index: one code path for Python, the command line and the service."""
