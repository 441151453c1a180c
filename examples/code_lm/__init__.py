"""A small language model of the source code of installed packages, with their owners."""
