"""Every database, auth strategy and release, run by the rendered repository itself."""
