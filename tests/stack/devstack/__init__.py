"""Tier 3: the image beside a devstack."""
