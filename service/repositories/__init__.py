"""SQL, one module a subject. Functions take an open transaction: the caller decides what belongs together."""
