"""Compensation in the database: each function does one thing in the transaction that it is given."""
