"""How inputs become a count: rules propose, a chain of small stages turns that into a decision."""
