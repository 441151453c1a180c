"""The version of Byline, in one place: the package's metadata, indexes, services and clients read it here."""

__version__ = "0.1.0"
