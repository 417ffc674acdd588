"""Serves rules of envoyproxy/ratelimit: its folder of files, its gRPC answers, its HTTP paths."""
