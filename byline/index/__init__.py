"""What is kept on disk: an immutable, checksummed directory that is written in blocks and opened read-only."""
