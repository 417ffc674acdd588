"""Keeps and returns inference data: request records."""
