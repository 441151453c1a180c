"""The index on disk: an immutable, checksummed directory that is written in blocks and opened read-only."""
