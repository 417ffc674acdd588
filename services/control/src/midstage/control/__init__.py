"""Turns the clusters' state into facts, and serves the inventory."""
