"""What hpa looks things up in: what was carried, which pods there are, what was wanted before."""
