"""Envoy's configuration as plain JSON values, and what people may see of the shipper; pure."""
