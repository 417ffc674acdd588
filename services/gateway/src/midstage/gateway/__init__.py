"""Configures Envoy, ships its request log to Kafka without losing a line, and says each second what is in flight."""
