"""The properties of the gabbits."""
