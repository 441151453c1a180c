"""Compensation in the database. Each function works in the transaction that it is given."""
