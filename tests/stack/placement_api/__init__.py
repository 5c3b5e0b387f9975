"""Placement's own API tests, the gabbits inside its wheel, run over HTTP against the image."""
