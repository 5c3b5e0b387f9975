"""Databases, auth strategies and releases, run by the rendered repository's own commands."""
