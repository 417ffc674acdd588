"""Configures Envoy, ships its request log losing no line, says each second what is in flight."""
