"""Decides replica counts from the log alone."""
