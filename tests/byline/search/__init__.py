"""Tests of byline.search."""
