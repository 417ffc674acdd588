"""Unary gRPC calls over HTTP/2, and nothing else of either: as few steps as a check needs."""
