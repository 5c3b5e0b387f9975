"""Tier 3: the image of each release, built and run."""
