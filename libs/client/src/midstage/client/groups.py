"""Command groups that several modules add to, as ``midstage delete``."""

import typer


def named(app: typer.Typer, name: str, *, about: str) -> typer.Typer:
    """The group ``name`` of ``app``; made, with ``about`` as its help, where there is none yet."""
    for info in app.registered_groups:
        if info.name == name and info.typer_instance is not None:
            return info.typer_instance
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=about)
    app.add_typer(group, name=name)
    return group
