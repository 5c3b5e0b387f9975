"""The image of each release, built and run."""
