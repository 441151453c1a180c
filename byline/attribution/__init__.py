"""Answer requests to an index, by one path for Python, the command line and the service."""
