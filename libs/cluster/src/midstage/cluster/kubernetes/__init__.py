"""Kubernetes behind the Protocol ``Cluster``: raw HTTP, the few fields that are read, our words."""
