"""Rules of envoyproxy/ratelimit: read, matched and counted as that product does."""
