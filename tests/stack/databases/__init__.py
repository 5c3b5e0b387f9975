"""The image on real database servers: concurrent starts, remote connections, and faults."""
