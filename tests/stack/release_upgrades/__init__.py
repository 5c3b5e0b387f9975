"""From release to release, and from SQLite to a server, with data that stays the same."""
