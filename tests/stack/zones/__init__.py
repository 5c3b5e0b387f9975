"""The image's command `zones`: a file, a running Placement, and the difference between them."""
