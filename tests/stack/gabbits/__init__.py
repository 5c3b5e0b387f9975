"""The HTTP tests of the rendered repository: they pass everywhere and leave nothing behind."""
