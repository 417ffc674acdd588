"""Policies tried on the past: series of load, a simple cluster, and the same engine as live."""
