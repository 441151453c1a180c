"""Which version of each index is served, and how another one takes its place without a request being lost."""
