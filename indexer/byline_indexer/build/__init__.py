"""Builds an index: from a build file to a published folder."""
