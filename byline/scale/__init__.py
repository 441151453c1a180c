"""Scales that multiply a gradient's entries before the projection, one module each."""
