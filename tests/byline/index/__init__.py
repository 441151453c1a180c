"""Tests of byline.index."""
