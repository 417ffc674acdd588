"""Counts: request events become exact usage and load signals."""
