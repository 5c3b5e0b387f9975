"""Tests of what brings the tools and runs everything."""
