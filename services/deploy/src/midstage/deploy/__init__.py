"""Turns specs and scale decisions into workloads in the clusters, and follows each rollout."""
