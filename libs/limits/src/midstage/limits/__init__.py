"""Limits for Python services: leases checked in process, an ASGI middleware, a circuit breaker."""
