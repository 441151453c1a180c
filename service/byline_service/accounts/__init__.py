"""Accounts: keys, scopes, sessions and quotas."""
