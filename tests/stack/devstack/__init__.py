"""The image alongside a devstack."""
