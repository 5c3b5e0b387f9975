"""Placement's own API tests, the gabbits in its wheel, run over HTTP against the image."""
