"""A floor from the past of the load, and whether it would have helped."""
