"""The image on real database servers: many at once, from afar, and while they fail."""
