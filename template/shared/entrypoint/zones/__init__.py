"""zones: Placement's traits, resource classes, zones and pools as data in a file."""
