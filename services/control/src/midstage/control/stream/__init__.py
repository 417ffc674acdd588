"""Clusters in, facts out: who may write, what is watched, what is written, what is known."""
