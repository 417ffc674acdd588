"""Throttle's outside neighbours: Envoy."""
