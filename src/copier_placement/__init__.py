"""The maintenance tool of rendered repositories; they run it through their `dev/maintain`."""
