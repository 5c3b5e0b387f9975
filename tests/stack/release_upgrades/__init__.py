"""Upgrades to another release, and from SQLite to a server, which keep the data."""
