"""Who asks and what they may: keys, scopes, sessions, quotas."""
