"""Signatures of answers: Ed25519 keys, and the keys of the settings."""
