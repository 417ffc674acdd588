"""Scaling: ``get decisions``, ``hpa explain``."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
