"""Replay of the journal: the state that its records make, with every rule checked."""
